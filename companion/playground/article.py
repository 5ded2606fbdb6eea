"""The trained network as the article runs it: its weights, some pictures, and how well it does at each size."""

from __future__ import annotations

import base64
from typing import Any

import torch

from companion import data
from companion.evidence.costs import multiply_adds_at
from companion.playground import shipped
from companion.tasks.classification import logits
from companion.tasks.normalisation import channel_statistics

LAST_SIDES = range(4, 12)  # of the last feature map; the others keep their proportions: the schedules of notebook 05


def network() -> dict[str, Any]:
    """Plain values for JSON: bytes are base64, ``cost`` is relative to the nominal sizes, ``accuracy`` in per cent."""
    model, _ = shipped.load()
    config = model.config
    dataset = data.load()
    pictures, labels = shipped.TASK.split("test")
    firsts = [int((labels == label).nonzero()[0, 0]) for label in range(len(dataset.classes))]
    mean, deviation = channel_statistics(dataset.train)
    side, *nominal = config.sizes
    schedules = [[size * last // nominal[-1] for size in nominal] for last in LAST_SIDES]
    with torch.no_grad():
        right = [(logits(model, pictures, sizes).argmax(1) == labels).double().mean().item() for sizes in schedules]
    costs = [multiply_adds_at(config, side, sizes) for sizes in schedules]
    at_nominal = schedules.index(list(nominal))
    return {
        "weights": base64.b64encode(shipped.SHIPPED.read_bytes()).decode(),
        "images": base64.b64encode(dataset.test.images[firsts].numpy().tobytes()).decode(),
        "labels": labels[firsts].tolist(),
        "classes": list(dataset.classes),
        "side": side,
        "mean": mean.item(),
        "deviation": deviation.item(),
        "tested": len(labels),
        "nominal": at_nominal,
        "schedules": [
            {"sizes": sizes, "cost": cost / costs[at_nominal], "accuracy": 100 * share}
            for sizes, cost, share in zip(schedules, costs, right, strict=True)
        ],
    }
