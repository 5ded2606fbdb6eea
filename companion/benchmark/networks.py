"""Whole classifiers: training of those of notebooks 03 and 04, with ``CCConv2d`` and with ``Conv2d``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from cclib.models import cost
from cclib.models.classifier import Classifier, ClassifierConfig

BATCH = 100


def training(config: ClassifierConfig, batch: int = BATCH, steps: int = 1) -> Callable[[], None]:
    """A run of so many steps of training on one batch of random images, with the network and the images of seed 0."""
    torch.manual_seed(0)
    network = Classifier(config)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    x = torch.rand(batch, config.in_channels, config.sizes[0], config.sizes[0])
    labels = torch.randint(0, config.classes, (batch,))

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(network(x), labels).backward()
            optimizer.step()

    return run


@dataclass(frozen=True)
class Networks:
    """A network of CC layers and one of convolutions, compared as they are or at equal multiply-adds."""

    name: str
    cc: ClassifierConfig
    conv: ClassifierConfig
    equal_work: bool = False

    @property
    def work(self) -> float:
        """What a ratio of times is divided by: 1, or the ratio of the multiply-adds."""
        if not self.equal_work:
            return 1.0
        x = torch.zeros(BATCH, self.cc.in_channels, self.cc.sizes[0], self.cc.sizes[0])
        return cost.multiply_adds(Classifier(self.cc), x) / cost.multiply_adds(Classifier(self.conv), x)


OF_NOTEBOOK_03 = (16, 16, 32, 48)
GRADUAL = (28, 24, 20, 17, 14, 12, 10, 8, 7)
ABRUPT = (28, 14, 14, 14, 14, 7, 7, 7, 7)

# The order is that of the musts in profiles/default.yaml, after the layers.
NETWORKS = (
    Networks(
        "classifier of notebook 03",
        ClassifierConfig("cc", channels=OF_NOTEBOOK_03),
        ClassifierConfig("conv", channels=OF_NOTEBOOK_03),
    ),
    Networks(
        "gradual classifier of 04, at equal multiply-adds",
        ClassifierConfig("cc", GRADUAL, (6, 8, 10, 12, 16, 20, 24, 32), resizing_kernel=3),
        ClassifierConfig("conv", ABRUPT, (10, 14, 14, 14, 19, 19, 19, 32)),
        equal_work=True,
    ),
)
