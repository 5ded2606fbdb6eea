"""What a processor computes, as hashes: single operations, thirty steps of each kind of network, one whole small run.

``python tests/companion/train/bits.py`` prints them as JSON, computed with the shared instructions; with ``--write`` it
writes them to ``bits.json``, beside this file, with which ``test_bits`` compares those of the machine that it runs on.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from companion import instructions

instructions.settle()  # before torch first computes

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from cclib.models.autoencoder import AutoencoderConfig  # noqa: E402
from cclib.models.classifier import ClassifierConfig  # noqa: E402
from cclib.models.downscaler import DownscalerConfig  # noqa: E402
from cclib.models.superresolution import SuperResolverConfig  # noqa: E402
from companion.tasks.autoencoding import Autoencoding  # noqa: E402
from companion.tasks.classification import Classification, FlexibleClassification  # noqa: E402
from companion.tasks.downscaling import Downscaling  # noqa: E402
from companion.tasks.shifting import MovedClassification  # noqa: E402
from companion.tasks.superresolution import SuperResolution  # noqa: E402
from companion.tasks.task import Task  # noqa: E402
from companion.train import training  # noqa: E402

COMMITTED = Path(__file__).with_name("bits.json")
SEED = 3
FEW: dict[str, Any] = {"train_size": 300, "test_size": 100}
SHAPE: dict[str, Any] = {"sizes": (28, 14, 14, 7), "channels": (8, 8, 16)}
GRADUAL: dict[str, Any] = {"sizes": (28, 24, 20, 17, 14), "channels": (4, 6, 8, 8), "resizing_kernel": 3}
SIZES: dict[str, Any] = {"input_sides": (14, 40), "growth": (0.6, 1.4), "jitter": 0.15}
FACTORS: dict[str, Any] = {"ratios": ((3, 2), (12, 5)), "validated": ((2.0, 2.0),), "tested": ((2.0, 2.0),)}


def classifier(layer: str, **shape: Any) -> Task:
    return Classification(ClassifierConfig(layer, **(shape or SHAPE)), **FEW)


# Three hundred images in batches of ten, or thirty batches.
TASKS: dict[str, Task] = {
    "conv": classifier("conv"),
    "conv + blur": classifier("blurpool"),
    "conv + resize": classifier("resize", **GRADUAL),
    "cc, abrupt": classifier("cc"),
    "cc, gradual": classifier("cc", **GRADUAL),
    "cc without window": classifier("cc", **SHAPE, window=False),
    "cc, spline": classifier("cc", **SHAPE, filter="spline"),
    "cc, bspline": classifier("cc", **SHAPE, filter="bspline", kernel_size=5, resizing_kernel=5),
    "cc, many sizes": FlexibleClassification(ClassifierConfig("cc", **SHAPE), **FEW, **SIZES),
    "cc, moving": MovedClassification(ClassifierConfig("cc", **SHAPE), **FEW, largest_move=3, margin=6),
    "super-resolver": SuperResolution(SuperResolverConfig("cc", channels=8, blocks=1), **FACTORS, epoch_batches=30),
    "pixel shuffle": SuperResolution(
        SuperResolverConfig("pixel shuffle", channels=8, blocks=1), **FACTORS, epoch_batches=30
    ),
    "autoencoder, cc": Autoencoding(AutoencoderConfig("cc"), **FEW, sides=(14, 24)),
    "autoencoder, conv": Autoencoding(AutoencoderConfig("conv", sizes=(5, 10, 20, 20)), **FEW),
    "downscaler": Downscaling(DownscalerConfig("siren", 4, True), (1.5, 3.0), ((2.2, 2.2),), epoch_batches=30),
}


def sha(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def weights(model: nn.Module) -> str:
    return sha(*model.state_dict().values())


def with_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> str:
    """The output and the gradients of all inputs."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    output = function(*leaves)
    return sha(output, *torch.autograd.grad(output.square().sum(), leaves))


def operations() -> dict[str, str]:
    """What the networks are made of, each by itself."""
    generator = torch.Generator().manual_seed(SEED)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, y, images = draw(100, 96), draw(96, 48), draw(10, 16, 14, 14)
    weight = draw(24, 16, 4, 4)
    found = {
        "randn": sha(draw(10_000)),
        "randperm": sha(torch.randperm(1000, generator=generator)),
        "sum": sha(images.sum(), images.mean((0, 2, 3)), images.sum(1)),
        "mm": with_gradients(torch.mm, x, y),
        "bmm": with_gradients(torch.bmm, draw(9, 100, 96), draw(9, 96, 48)),
        "einsum": with_gradients(lambda a, b: torch.einsum("vhf,foc->vhoc", a, b), draw(9, 9, 16), draw(16, 24, 16)),
        "linear": with_gradients(F.linear, x, y.t().contiguous()),
        "conv2d": with_gradients(lambda a, b: F.conv2d(a, b, padding=1), images, weight),
        "conv2d, stride 2": with_gradients(lambda a, b: F.conv2d(a, b, stride=2, padding=1), images, weight),
        "conv2d, channels last": with_gradients(F.conv2d, images.contiguous(memory_format=torch.channels_last), weight),
        "conv_transpose2d": with_gradients(lambda a, b: F.conv_transpose2d(a, b, stride=2), images, weight.mT[:16]),
        "batch_norm": with_gradients(lambda a: F.batch_norm(a, None, None, training=True), images),
        "cross_entropy": with_gradients(lambda a: F.cross_entropy(a, torch.arange(100) % 48), draw(100, 48)),
        "bicubic, anti-aliased": with_gradients(
            lambda a: F.interpolate(a, (9, 11), mode="bicubic", antialias=True), images
        ),
        "bilinear": with_gradients(lambda a: F.interpolate(a, (19, 23), mode="bilinear"), images),
        "fft": sha(torch.view_as_real(torch.fft.fft2(images.double()))),
    }
    for name in ("sin", "cos", "exp", "tanh", "sigmoid", "log1p"):
        found[name] = with_gradients(getattr(torch, name), x.abs() + 0.1)
    parameter = nn.Parameter(x.clone())
    optimizer = torch.optim.AdamW([parameter], lr=0.01, weight_decay=0.01, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    return found | {"AdamW": sha(parameter)}


def thirty_steps(task: Task) -> str:
    """The weights after one epoch of thirty batches of ten."""
    torch.manual_seed(SEED)
    model = task.build()
    schedule = training.Training(epochs=1, batch_size=10, learning_rate=0.01)
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, fused=True)
    training.train_epoch(model, optimizer, task, schedule, 0, training.epoch_generator(SEED, 0))
    return weights(model)


def whole_run() -> str:
    """A run from its first epoch to its measures, through two checkpoints."""
    schedule = training.Training(epochs=2, batch_size=50, learning_rate=0.01)
    with tempfile.TemporaryDirectory() as folder:
        model, history = training.fit(TASKS["cc, gradual"], schedule, SEED, Path(folder) / "checkpoint")
    measures = training.evaluate(model, TASKS["cc, gradual"].test)
    kept = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history]
    return hashlib.sha256(json.dumps([weights(model), kept, measures]).encode()).hexdigest()


def all_bits() -> dict[str, str]:
    torch.set_num_threads(1)
    return {
        **{f"operation {name}": value for name, value in operations().items()},
        **{f"thirty steps of {name}": thirty_steps(task) for name, task in TASKS.items()},
        "a whole run": whole_run(),
    }


if __name__ == "__main__":
    text = json.dumps(all_bits(), indent=1) + "\n"
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(text, encoding="utf-8")
    print(text, end="")
