"""What is learned from: data sets and photographs as tensors, verified. Knows nothing of networks or of training."""

from companion.data.datasets import SUBSET, Dataset, Split, load
from companion.data.photographs import PHOTOGRAPHS, photographs, photographs_fingerprint

__all__ = ["PHOTOGRAPHS", "SUBSET", "Dataset", "Split", "load", "photographs", "photographs_fingerprint"]
