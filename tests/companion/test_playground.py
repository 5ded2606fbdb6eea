"""The playground draws what the layer and the network do, names what is wrong, and its notebook runs."""

import html
import io
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import nbformat
import numpy as np
import papermill
import pytest
import torch
from PIL import Image
from tiny_project import ROOT

from cclib import cc_conv2d, filters
from cclib.functional.problem import Problem, windows_of
from cclib.geometry import resize_axes
from cclib.models.cost import multiply_adds
from companion import playground
from companion.playground import layer, network, shipped
from companion.workflow import profiles


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)))


def controls(panel: widgets.Widget) -> dict[str, widgets.Widget]:
    """All widgets below a panel by their description."""
    by_description = {getattr(panel, "description", ""): panel}
    for child in getattr(panel, "children", ()):
        by_description |= controls(child)
    return by_description


def pictures(panel: widgets.Widget) -> list[widgets.Image]:
    below = [picture for child in getattr(panel, "children", ()) for picture in pictures(child)]
    return [panel] if isinstance(panel, widgets.Image) else below


def text(panel: widgets.Widget) -> str:
    """All that is written below a panel."""
    own = panel.value if isinstance(panel, widgets.HTML) else ""
    return own + "".join(map(text, getattr(panel, "children", ())))


def test_the_taps_of_an_output_are_those_that_are_summed() -> None:
    filter = filters.make("cubic", 1, 1, 4, groups=1, window=True)
    image = torch.rand(9, 9)
    axes = resize_axes(9, 9, 0.7, None, None)
    grid = Problem(axes, windows_of(axes, filter.support, not filter.vanishes, False), 1, False).grid
    y = cc_conv2d(image[None, None], filter, scale=0.7)[0, 0]
    for output in range(1, len(y) - 1):
        taps, offsets = layer.taps_of_output(grid[0], output)
        points = torch.stack(torch.meshgrid(torch.tensor(offsets), torch.tensor(offsets), indexing="ij"), -1)
        window = image[taps.start : taps.stop, taps.start : taps.stop]
        assert torch.allclose(y[output, output], (filter(points)[..., 0, 0] * window).sum(), atol=1e-6)


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("filter", "siren"),
        ("kernel size", 6),
        ("window", False),
        ("stretch", True),
        ("scale, vertical", 1.3),
        ("scale, horizontal", 0.31),
        ("size, not scale", True),
        ("move the start", True),
        ("taps at, vertical", 0.9),
    ],
)
def test_every_control_of_the_layer_moves_the_picture(control: str, value: object) -> None:
    state = torch.random.get_rng_state()
    panel = playground.layer_panel()
    (picture,) = pictures(panel)
    if control in ("kernel size", "window"):
        assert controls(panel)[control].disabled  # the cubic kernel has its own
        controls(panel)["filter"].value = "siren"
        assert not controls(panel)[control].disabled
    before = picture.value
    controls(panel)[control].value = value
    assert picture.value != before
    assert pixels(picture.value).shape == pixels(before).shape
    assert torch.equal(torch.random.get_rng_state(), state)  # the user's


def test_every_filter_of_the_menu_is_drawn_at_every_kernel_size() -> None:
    panel = playground.layer_panel()
    kind, kernel = (controls(panel)[name] for name in ("filter", "kernel size"))
    (picture,) = pictures(panel)
    for name in kind.options:
        kind.value = name
        drawn = set()
        for size in range(kernel.min, kernel.max + 1):
            kernel.value = size
            drawn.add(picture.value)
        assert len(drawn) == (1 if kernel.disabled else kernel.max + 1 - kernel.min), name


def test_sliders_that_are_not_used_are_disabled() -> None:
    panel = playground.layer_panel()
    sliders = controls(panel)

    def disabled() -> list[str]:
        return [name for name in ("scale, vertical", "size, vertical", "start, vertical") if sliders[name].disabled]

    assert disabled() == ["size, vertical", "start, vertical"]
    sliders["size, not scale"].value = sliders["move the start"].value = True
    assert disabled() == ["scale, vertical"]


def test_an_uploaded_image_is_drawn_and_a_bad_file_is_named() -> None:
    panel = playground.layer_panel()
    (picture,), upload = pictures(panel), controls(panel)["your image"]
    before = picture.value
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (250, 10, 10)).save(file, "PNG")
    about = {"name": "a.png", "type": "image/png", "size": 1, "last_modified": datetime.now(UTC)}
    upload.value = ({**about, "content": file.getvalue()},)
    assert picture.value != before
    shown = picture.value
    upload.value = ({**about, "content": b"no image"},)
    assert "a.png cannot be read as an image: choose a PNG or JPEG file" in text(panel)
    upload.value = ({**about, "content": file.getvalue()[:60]},)  # truncated
    assert "a.png cannot be read as an image" in text(panel)
    assert picture.value == shown
    assert layer.read_grey("a.png", file.getvalue()).shape == (43, 64)


@pytest.mark.parametrize(
    "settings", [{}, {"filter": "siren", "kernel size": 5, "stretch": True}, {"scale, vertical": 1.31}]
)
def test_the_code_shown_computes_the_output_shown(settings: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[torch.Tensor] = []

    def kept(*args: Any, **options: Any) -> torch.Tensor:
        shown.append(cc_conv2d(*args, **options))
        return shown[-1]

    monkeypatch.setattr(layer, "cc_conv2d", kept)
    panel = playground.layer_panel()
    for name, value in settings.items():
        controls(panel)[name].value = value
    code = html.unescape(text(panel).split("<pre")[1].split(">", 1)[1].split("</pre>")[0])
    names: dict[str, torch.Tensor] = {}
    with torch.random.fork_rng():
        exec(code, names)
    assert torch.allclose(names["y"], shown[-1])


def test_the_code_names_the_image_of_ones_own() -> None:
    code = layer.code_for(["a.png"], '"cubic", 1, 1, 4, groups=1, window=True', ["size=(3, 4)"])
    assert 'playground.read_grey("a.png"' in code
    assert 'cc_conv2d(x, filter, size=(3, 4), padding_mode="replicate")' in code


def test_the_super_resolver_follows_its_slider_and_takes_an_image_of_ones_own() -> None:
    panel = playground.restorer_panel()
    (picture,) = pictures(panel)
    seen = {picture.value}
    controls(panel)["factor"].value = 3.35
    seen.add(picture.value)
    file = io.BytesIO()
    Image.effect_noise((300, 200), 60).save(file, "PNG")
    about = {"name": "a.png", "type": "image/png", "size": 1, "last_modified": datetime.now(UTC)}
    controls(panel)["your image"].value = ({**about, "content": file.getvalue()},)
    seen.add(picture.value)
    assert len(seen) == 3
    controls(panel)["your image"].value = ({**about, "content": b"no image"},)
    assert "a.png cannot be read as an image" in text(panel)


def test_the_network_runs_at_any_sizes_of_its_maps() -> None:
    shown = network.Network()
    nominal, small = shown.measure((14, 14, 7, 7)), shown.measure((8, 8, 4, 4))
    assert nominal.accuracy > 75
    assert small.multiply_adds < nominal.multiply_adds / 2
    for sizes in ((14, 14, 7, 7), (23, 19, 11, 3)):
        counted = multiply_adds(shown.model, torch.zeros_like(shown.images), sizes=sizes)
        assert shown.multiply_adds(sizes) == pytest.approx(counted, rel=0.05)
    assert [tuple(y.shape) for y in small.maps] == [(16, 8, 8), (16, 8, 8), (32, 4, 4), (48, 4, 4)]


def test_the_panel_says_on_how_many_images_an_accuracy_was_measured() -> None:
    panel = playground.network_panel()
    before = pictures(panel)[0].value
    controls(panel)["map 2"].value = 10
    assert pictures(panel)[0].value != before
    assert "accuracy on the first test images (n = 100)" in text(panel)
    model, accuracy = shipped.load()
    assert f"<b>{accuracy:.1f} %</b> on all test images (n = 5000)" in text(panel)
    with torch.no_grad():
        assert shipped.TASK.test(model)["accuracy"] == pytest.approx(accuracy, abs=0.1)


def test_the_shipped_network_is_small_and_that_of_notebook_05() -> None:
    assert shipped.SHIPPED.stat().st_size < 2 * 2**20
    given = profiles.parameters(ROOT, "05-dynamic-shapes", "default")
    task, training = asdict(shipped.TASK), shipped.TRAINING
    names = ("input_sides", "growth", "jitter", "nominal_inputs", "nominal_maps", "augment")
    assert {name: task[name] for name in names} == {
        name: tuple(given[name]) if isinstance(given[name], list) else given[name] for name in names
    }
    assert [list(task["model"][name]) for name in ("sizes", "channels")] == [given["sizes"], given["channels"]]
    assert (training.epochs, training.batch_size) == (given["flexible_epochs"], given["batch_size"])


def test_the_shipped_moving_networks_are_those_of_notebook_07() -> None:
    given = profiles.parameters(ROOT, "07-shift-equivariance", "default")
    rates = chosen_rates("07-shift-equivariance")
    for name, of_notebook in (("continuous", "cc"), ("spline", "cc, B-spline"), ("strided", "conv")):
        task, training = shipped.MOVED[name], shipped.MOVED_TRAINING[name]
        assert (task.margin, task.largest_move) == (given["margin"], given["largest_move"])
        assert [list(task.model.sizes), list(task.model.channels)] == [given["sizes"], given["channels"]]
        if name == "spline":
            assert {task.model.kernel_size, task.model.resizing_kernel} == {given["spline_support"]}
        assert (training.epochs, training.batch_size) == (given["epochs"], given["batch_size"])
        assert training.learning_rate == rates[of_notebook]


def chosen_rates(notebook: str) -> dict[str, float]:
    """What the search of an executed notebook chose, by network, from the table that it printed."""
    content = (ROOT / "results" / notebook / "notebook.ipynb").read_text(encoding="utf-8")
    cells = nbformat.reads(content, as_version=4).cells
    (table,) = (o.text for c in cells for o in c.get("outputs", []) if "chosen inside" in o.get("text", ""))
    lines = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    return {line[0]: float(line[-2]) for line in lines if line[-1] in ("yes", "no")}


def test_the_shipped_kernels_are_those_of_notebook_08() -> None:
    given = profiles.parameters(ROOT, "08-any-scale-kernel", "default")
    one = given["one_factor"]
    assert (*map(tuple, given["unseen"]), (one, one)) == shipped.ASKED
    for name, factors in (("cc", given["factors"]), ("conv", [one, one])):
        task, training = shipped.REDUCING[name], shipped.REDUCING_TRAINING[name]
        assert (list(task.factors), task.gap, task.epoch_batches) == (factors, given["gap"], given["epoch_batches"])
        assert (training.epochs, training.batch_size) == (given["epochs"], given["batch_size"])


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = papermill.execute_notebook(
        ROOT / "notebooks" / "00-playground.ipynb", tmp_path / "out.ipynb", cwd=ROOT, progress_bar=False
    )
    printed = "".join(output.text for output in notebook.cells[-1].outputs)
    assert printed.count("True") == 2
    assert "another size: (14, 14) -> (20, 26)" in printed
