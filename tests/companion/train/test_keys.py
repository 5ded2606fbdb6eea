"""The key of a run changes with the code that its numbers depend on, and with no other."""

import importlib
import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_project import ROOT
from torch import nn

from cclib.models.autoencoder import AutoencoderConfig
from cclib.models.classifier import ClassifierConfig
from cclib.models.downscaler import DownscalerConfig
from cclib.models.superresolution import SuperResolverConfig
from companion.fingerprint import closure
from companion.tasks.autoencoding import Autoencoding
from companion.tasks.classification import Classification, FlexibleClassification
from companion.tasks.downscaling import Downscaling
from companion.tasks.shifting import MovedClassification
from companion.tasks.superresolution import SuperResolution
from companion.tasks.task import Task
from companion.train import runs, training

CLASSIFIER = ClassifierConfig("cc", sizes=(28, 7), channels=(4,))
FEW: dict[str, Any] = {"train_size": 20, "test_size": 20}
TASKS: dict[str, Task] = {
    "siren": Classification(CLASSIFIER, **FEW),
    "spline": Classification(replace(CLASSIFIER, filter="spline"), **FEW),
    "conv": Classification(ClassifierConfig("conv", sizes=(28, 14), channels=(4,)), **FEW),
    "flexible": FlexibleClassification(CLASSIFIER, **FEW, input_sides=(14, 40), nominal_maps=0.0),
    "moved": MovedClassification(CLASSIFIER, **FEW),
    "autoencoder": Autoencoding(AutoencoderConfig("cc"), **FEW),
    "downscaler": Downscaling(DownscalerConfig("siren", 4, True), (1.5, 3.0), ((2.0, 2.0),), epoch_batches=1),
    "super-resolver": SuperResolution(
        SuperResolverConfig("cc", channels=2, blocks=1), ((3, 2),), ((2.0, 2.0),), ((2.0, 2.0),), epoch_batches=1
    ),
}
ALL = set(TASKS)
CLASSIFIERS = {"siren", "spline", "conv", "flexible", "moved"}
SIREN = ALL - {"spline", "conv"}


@pytest.fixture(scope="module")
def sources() -> dict[str, list[Path]]:
    return {name: [path.relative_to(ROOT) for path in runs.sources(task)] for name, task in TASKS.items()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, which every test leaves as it was."""
    root = tmp_path_factory.mktemp("tree")
    for package in ("cclib", "companion"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", ".*.partial"))
    return root


@pytest.fixture(scope="module")
def before(sources: dict[str, list[Path]], tree: Path) -> dict[str, dict[str, str]]:
    return code(sources, tree)


Differing = Callable[[str, Callable[[str], str]], set[str]]


@pytest.fixture
def differing(sources: dict[str, list[Path]], tree: Path, before: dict[str, dict[str, str]]) -> Differing:
    """The tasks whose code is another after a file was changed by a function of its text."""

    def tasks(path: str, change: Callable[[str], str]) -> set[str]:
        text = (tree / path).read_text() if (tree / path).exists() else ""
        with content(tree / path, change(text)):
            after = code(sources, tree)
        return {name for name in TASKS if after[name] != before[name]}

    return tasks


@contextmanager
def content(path: Path, text: str) -> Iterator[None]:
    """A file with other content for a while."""
    earlier = path.read_text() if path.exists() else None
    path.write_text(text)
    try:
        yield
    finally:
        path.unlink() if earlier is None else path.write_text(earlier)


def code(sources: dict[str, list[Path]], tree: Path) -> dict[str, dict[str, str]]:
    return {name: closure([tree / path for path in paths], runs.APART, tree) for name, paths in sources.items()}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("companion/data/datasets.py", set()),
        ("companion/evidence/figures.py", set()),
        ("companion/evidence/tables.py", set()),
        ("companion/evidence/pages/site.py", set()),
        ("companion/files.py", set()),
        ("companion/train/runs.py", set()),
        ("cclib/frozen.py", set()),
        ("cclib/conversion.py", set()),
        ("cclib/filters/fourier.py", set()),
        ("companion/train/training.py", ALL),
        ("cclib/geometry.py", ALL),
        ("cclib/layers.py", ALL),
        ("cclib/functional/sampling.py", ALL),
        ("cclib/functional/choice.py", ALL),
        ("cclib/functional/implementations/phases.py", ALL),
        ("cclib/filters/base.py", ALL),
        ("cclib/filters/siren.py", SIREN),
        ("cclib/filters/spline.py", {"spline", "downscaler"}),
        ("cclib/models/classifier.py", CLASSIFIERS),
        ("cclib/models/autoencoder.py", {"autoencoder"}),
        ("companion/tasks/autoencoding.py", {"autoencoder"}),
        ("companion/tasks/shifting.py", {"moved"}),
    ],
)
def test_a_change_of_code_trains_what_it_changes(path: str, changed: set[str], differing: Differing) -> None:
    assert differing(path, lambda text: text + "\n\ndef added():\n    return 1\n") == changed


def test_a_new_filter_trains_nothing_and_a_new_implementation_everything(differing: Differing, tree: Path) -> None:
    with content(tree / "cclib/filters/gabor.py", "from cclib.filters.mlp import register_trunk\n"):
        assert (
            differing("cclib/filters/__init__.py", lambda text: f"{text}from cclib.filters.gabor import G\n") == set()
        )
    with content(tree / "cclib/functional/implementations/spectra.py", "SPECTRA = None\n"):
        assert differing("cclib/functional/implementations/spectra.py", lambda text: f"{text}# unused\n") == set()

        def entered(text: str) -> str:
            return f"from cclib.functional.implementations.spectra import SPECTRA\n{text}"

        for path in ("cclib/functional/choice.py", "cclib/functional/operator.py"):
            assert differing(path, entered) == ALL


def test_another_constant_of_the_choice_trains_everything(differing: Differing) -> None:
    """Another pick gives other bits."""

    def other(text: str) -> str:
        speeds = json.loads(text)
        speeds["phases"]["calls"] *= 2
        return json.dumps(speeds)

    assert differing("cclib/functional/speeds.json", other) == ALL
    assert differing("cclib/functional/speeds.json", lambda text: json.dumps(json.loads(text), indent=4)) == set()


def test_words_and_types_train_nothing(differing: Differing) -> None:
    def reworded(text: str) -> str:
        text = text.replace('"""', '"""Other words. ', 1).replace("seed: int", "seed: 'int'")
        return "# A comment.\n" + text + "\n__all__ = ['fit']\n"

    assert differing("companion/train/training.py", reworded) == set()


@pytest.mark.parametrize("name", TASKS)
def test_what_no_key_holds_is_not_needed_to_train(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer's other forms raise when they are called, and a run goes through."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("called in a run")

    for apart in ("cclib.conversion", "cclib.frozen"):
        assert apart in runs.APART
        module = importlib.import_module(apart)
        for own, value in vars(module).items():
            if getattr(value, "__module__", None) == apart:
                owner, attribute = (value, "__init__") if inspect.isclass(value) else (module, own)
                monkeypatch.setattr(owner, attribute, forbidden)
    task = TASKS[name]
    model, history = training.fit(task, training.Training(1, 10, 0.01), 0, tmp_path / "checkpoint")
    assert training.evaluate(model, task.test)
    assert len(history) == 1


class Wave(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def test_a_part_defined_in_a_notebook_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wave, "__module__", "__main__")
    monkeypatch.setattr(Classification, "build", lambda self: nn.Sequential(Wave()))
    task = replace(TASKS["conv"], train_size=19)
    with pytest.raises(ValueError, match="model of Classification has a part that is defined in a notebook"):
        runs.sources(task)


@pytest.mark.parametrize("part", ["Wave", "build"])
def test_a_part_defined_in_a_file_beside_the_notebook_is_refused(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from torch import nn\nclass Wave(nn.Identity): ...\ndef build(task): return nn.Identity()\n"
    (tmp_path / "waves.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "waves", raising=False)
    monkeypatch.setattr(Classification, "build", getattr(importlib.import_module("waves"), part))
    runs.model_files.cache_clear()
    with pytest.raises(
        ValueError, match="has a part that is defined in waves, a module outside of cclib and companion"
    ):
        runs.sources(TASKS["conv"])


def test_looking_at_a_model_draws_nothing() -> None:
    before = torch.random.get_rng_state()
    runs.model_files.cache_clear()
    runs.sources(TASKS["siren"])
    assert torch.equal(before, torch.random.get_rng_state())
