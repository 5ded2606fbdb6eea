"""What is learned from: verified data sets and photographs as tensors. Knows nothing of networks or training."""

from companion.data.datasets import SUBSET, Dataset, Split, load
from companion.data.natural_images import PHOTOGRAPHS, photographs, photographs_fingerprint

__all__ = ["PHOTOGRAPHS", "SUBSET", "Dataset", "Split", "load", "photographs", "photographs_fingerprint"]
