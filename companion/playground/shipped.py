"""The trained networks that the playground and the index of the results start from, in files of the project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import safetensors.torch
from torch import nn

from cclib.models.classifier import Classifier, ClassifierConfig
from cclib.models.downscaler import DownscalerConfig
from cclib.models.superresolution import SuperResolverConfig
from companion import files
from companion.tasks.classification import FlexibleClassification
from companion.tasks.downscaling import Downscaling
from companion.tasks.shifting import MovedClassification
from companion.tasks.superresolution import SuperResolution, ratios_between
from companion.tasks.task import Task
from companion.train import runs
from companion.train.training import Training

SHIPPED = files.project_root() / "data" / "playground.safetensors"
# As in notebook 05 with the default profile; it is the same run where the search there chose the same rate.
TASK = FlexibleClassification(
    ClassifierConfig("cc", channels=(16, 16, 32, 48)),
    input_sides=(14, 48),
    growth=(0.55, 1.5),
    jitter=0.15,
    nominal_inputs=0.6,
    nominal_maps=0.3,
)
TRAINING = Training(epochs=5, batch_size=100, learning_rate=0.02)
RESTORER = files.project_root() / "data" / "super-resolver.safetensors"
# As in notebook 09, likewise.
WHOLE = tuple((float(factor), float(factor)) for factor in (2, 3, 4))
UNSEEN = (1.3, 1.7, 2.3, 2.6, 3.14, 3.7)
RESTORING = SuperResolution(
    SuperResolverConfig("cc"),
    ratios_between(1.2, 4.0, 5, UNSEEN, 0.04),
    WHOLE,
    (
        *WHOLE,
        *((1.5, 1.5), (2.5, 2.5)),
        *((factor, factor) for factor in UNSEEN),
        *((1.3, 2.6), (3.7, 1.7), (2.3, 3.7), (2.6, 1.7)),
        (5.0, 5.0),
    ),
)
RESTORING_TRAINING = Training(epochs=7, batch_size=8, learning_rate=0.01, weight_decay=0.0)

# As in notebook 07, likewise: trained with moves, with the rates that it chose.
_CC = ClassifierConfig("cc", channels=(16, 16, 32, 48))
_MOVING = {
    "continuous": (_CC, 0.01),
    "spline": (replace(_CC, filter="bspline", kernel_size=5, resizing_kernel=5), 0.04),
    "strided": (replace(_CC, layer="conv"), 0.02),
}
MOVING = {name: files.project_root() / "data" / f"moving-{name}.safetensors" for name in _MOVING}
MOVED = {name: MovedClassification(config, largest_move=3, margin=6) for name, (config, _) in _MOVING.items()}
MOVED_TRAINING = {name: Training(epochs=4, batch_size=100, learning_rate=rate) for name, (_, rate) in _MOVING.items()}
# As in notebook 08, likewise: the continuous filter that saw many factors, and the discrete kernel that saw one.
KERNELS = {name: files.project_root() / "data" / f"kernel-{name}.safetensors" for name in ("cc", "conv")}
KERNEL_FACTORS = (1.5, 3.0)
ONE_FACTOR = (2.0, 2.0)
UNSEEN_FACTORS = (1.57, 1.83, 2.23, 2.61, 2.87)
ASKED = (
    *((factor, factor) for factor in UNSEEN_FACTORS),
    *((1.57, 2.87), (2.61, 1.83), (2.23, 1.57)),
    ONE_FACTOR,
)
REDUCING = {
    "cc": Downscaling(DownscalerConfig("siren", 4, stretch=True), KERNEL_FACTORS, ASKED),
    "conv": Downscaling(DownscalerConfig("spline", 8, stretch=False), ONE_FACTOR, ASKED),
}
REDUCING_TRAINING = {
    name: Training(epochs=5, batch_size=8, learning_rate=rate, weight_decay=0.0)
    for name, rate in (("cc", 0.03), ("conv", 1.1))
}


def ship() -> None:
    """Write the classifier of the playground, with its test accuracy, and the networks of the index.

    They are trained, or taken from the run cache.
    """
    of_index = {
        RESTORER: runs.Run(RESTORING, RESTORING_TRAINING, seed=0, label="the index's super-resolver"),
        **{
            path: runs.Run(MOVED[name], MOVED_TRAINING[name], seed=0, label=f"the index's network, {name}")
            for name, path in MOVING.items()
        },
        **{
            path: runs.Run(REDUCING[name], REDUCING_TRAINING[name], seed=0, label=f"the index's kernel, {name}")
            for name, path in KERNELS.items()
        },
    }
    own = runs.Run(TASK, TRAINING, seed=0, label="the playground's network")
    result, *others = runs.run_all([own, *of_index.values()])
    for path, trained in zip(of_index, others, strict=True):
        files.atomic_write(path, safetensors.torch.save(trained.model().state_dict()))
    weights = {name: value.contiguous() for name, value in result.model().state_dict().items()}
    metadata = {"test accuracy, per cent": repr(result.test["accuracy"])}
    files.atomic_write(SHIPPED, safetensors.torch.save(weights, metadata=metadata))


def trained(task: Task, path: Path) -> nn.Module:
    """The network of a task with the weights of a file.

    Raises:
        FileNotFoundError: the file is missing.
    """
    model = task.build()
    model.load_state_dict(safetensors.torch.load_file(path))
    return model.eval()


def load() -> tuple[Classifier, float]:
    """The network, and its accuracy at its nominal sizes on all test images, in per cent.

    Raises:
        FileNotFoundError: the file is missing.
    """
    model = Classifier(TASK.model)
    model.load_state_dict(safetensors.torch.load_file(SHIPPED))
    with safetensors.safe_open(SHIPPED, "pt") as file:
        return model.eval(), float(file.metadata()["test accuracy, per cent"])
