"""What compared networks cost, as tables: parameters, and multiply-adds of a forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from cclib.models import cost
from cclib.models.classifier import Classifier, ClassifierConfig

BATCH = 100  # images, over which the evaluation of a continuous filter is shared out


def table(networks: Mapping[str, nn.Module], batch: Tensor, relative_to: str) -> pd.DataFrame:
    """Parameters of each network and its multiply-adds per image of ``batch``; then both relative to one of them.

    A continuous filter is evaluated once for the whole batch.
    """
    costs = pd.DataFrame(
        {
            "parameters": [cost.parameter_count(network) for network in networks.values()],
            "multiply-adds per image": [round(cost.multiply_adds(network, batch)) for network in networks.values()],
        },
        index=list(networks),
    )
    ratios = costs / costs.loc[relative_to]
    return costs.join(ratios.set_axis([f"parameters to {relative_to}", f"multiply-adds to {relative_to}"], axis=1))


def multiply_adds_at(config: ClassifierConfig, side: int, sizes: Sequence[int] | None = None) -> float:
    """Multiply-adds per image of a classifier whose input has this side, its feature maps ``sizes`` or their own."""
    batch = torch.zeros(BATCH, config.in_channels, side, side)
    return cost.multiply_adds(Classifier(config), batch, sizes=sizes)
