"""The trained network that the playground starts from, in a file of the project."""

from __future__ import annotations

import safetensors.torch

from cclib.models.classifier import Classifier, ClassifierConfig
from companion import files
from companion.tasks.classification import FlexibleClassification
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
TRAINING = Training(epochs=9, batch_size=100, learning_rate=0.02)


def ship() -> None:
    """Write the network, with its test accuracy, to ``SHIPPED``; it is trained, or taken from the run cache."""
    (result,) = runs.run_all([runs.Run(TASK, TRAINING, seed=0, label="the playground's network")])
    weights = {name: value.contiguous() for name, value in result.model().state_dict().items()}
    metadata = {"test accuracy, per cent": repr(result.test["accuracy"])}
    files.atomic_write(SHIPPED, safetensors.torch.save(weights, metadata=metadata))


def load() -> tuple[Classifier, float]:
    """The network, and its accuracy at its nominal sizes on all test images, in per cent.

    Raises:
        FileNotFoundError: the file is missing.
    """
    model = Classifier(TASK.model)
    model.load_state_dict(safetensors.torch.load_file(SHIPPED))
    with safetensors.safe_open(SHIPPED, "pt") as file:
        return model.eval(), float(file.metadata()["test accuracy, per cent"])
