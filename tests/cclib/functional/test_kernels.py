"""The compiled kernels: the same bits however they are called, and nothing read beyond what a sum reads.

That they give what the definition gives is in the tests of cc_conv2d: they are behind "phases".
"""

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from functional_cases import make_by_pairs
from torch import nn

from cclib import CCConv2d, cc_conv2d
from cclib.filters import Filter, MLPFilter
from cclib.functional import kernels, sums
from cclib.functional.implementations.phases import input_axes, output_axes
from cclib.functional.problem import Problem, windows_of
from cclib.geometry import Run, Runs, resize_axes

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no kernels for this processor")

# (batch, in / groups, out / groups, groups), kernel size, input size, output size: panels of one and of both widths,
# whole and in part; one sample and more than a block; depthwise; a filter that falls between the pixels.
CASES = {
    "wide": ((3, 5, 16, 1), 4, (12, 9), (9, 10)),
    "narrow": ((2, 3, 7, 1), 3, (9, 12), (7, 9)),
    "several panels": ((2, 4, 37, 1), 3, (8, 8), (6, 12)),
    "many samples": ((40, 2, 9, 1), (2, 5), (16, 12), (12, 9)),
    "one sample of a pair": ((1, 6, 10, 1), 4, (7, 6), (6, 5)),
    "groups": ((2, 3, 5, 4), 3, (8, 9), (6, 6)),
    "depthwise": ((2, 1, 1, 13), 4, (9, 9), (7, 6)),
    "depthwise, wide support": ((2, 1, 1, 8), (3, 11), (9, 14), (7, 6)),
    "narrower than a pixel": ((2, 3, 4, 1), 0.4, (6, 9), (9, 9)),
}
every_case = pytest.mark.parametrize(("sizes", "kernel_size", "given", "asked"), CASES.values(), ids=CASES)
TYPES = (torch.float32, torch.float64)


def computed(sizes, kernel_size, given, asked, dtype=torch.float32, seed=0):
    """The output, and the gradients of image, functions and coefficients, by the kernels alone."""
    generator = torch.Generator().manual_seed(seed)
    batch, inputs, outputs, groups = sizes
    of = sums.Sizes(batch, groups, inputs, outputs)
    filter = MLPFilter(groups * inputs, groups * outputs, kernel_size, groups=groups)
    axes = resize_axes(given[0], given[1], None, asked, None)
    problem = Problem(axes, windows_of(axes, filter.support, not filter.vanishes, False), groups, False)
    reads, read_by = sums.reads_of(*output_axes(problem)), sums.reads_of(*input_axes(problem))

    def drawn(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)

    x, dy = drawn(batch, groups * inputs, *given), drawn(batch, groups * outputs, *asked)
    functions = drawn(*(len(taps.offsets) for taps in problem.grid), 5)
    coefficients, bias = drawn(5, groups * outputs, inputs), drawn(groups * outputs)
    y = sums.correlate(x, sums.weights_of(functions, coefficients, reads, of), bias, reads, of)
    turned = coefficients.unflatten(1, (groups, -1)).mT.flatten(1, 2)
    dx = sums.correlate(dy, sums.weights_of(functions, turned, read_by, of.adjoint), None, read_by, of.adjoint)
    return y, dx, *sums.filter_gradients(x, dy, functions, coefficients, reads, of)


@every_case
@pytest.mark.parametrize("dtype", TYPES)
def test_weights_made_pair_by_pair_are_the_same(monkeypatch, sizes, kernel_size, given, asked, dtype):
    """To the last bit, but for the matrices, whose gradient is then summed run by run."""
    *expected, of_matrices = computed(sizes, kernel_size, given, asked, dtype)
    make_by_pairs(monkeypatch)
    *found, summed_apart = computed(sizes, kernel_size, given, asked, dtype)
    assert all(map(torch.equal, found, expected))
    error = 1e-6 if dtype == torch.float32 else 1e-15
    assert (summed_apart - of_matrices).abs().max() <= error * of_matrices.abs().max()


@every_case
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("by_pairs", [False, True], ids=["at once", "pair by pair"])
def test_threads_change_no_bit(monkeypatch, sizes, kernel_size, given, asked, dtype, by_pairs):
    if by_pairs:
        make_by_pairs(monkeypatch)
    expected = computed(sizes, kernel_size, given, asked, dtype)
    monkeypatch.setattr(kernels, "LEAST_WORK", 1)
    threads = torch.get_num_threads()
    try:
        for count in (2, 3, 7):
            torch.set_num_threads(count)
            assert all(map(torch.equal, computed(sizes, kernel_size, given, asked, dtype), expected))
    finally:
        torch.set_num_threads(threads)


def opened_anew():
    kernels.library.cache_clear()
    kernels.kernel.cache_clear()


@every_case
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("by_pairs", [False, True], ids=["at once", "pair by pair"])
def test_the_vectors_of_the_processor_change_no_bit(monkeypatch, sizes, kernel_size, given, asked, dtype, by_pairs):
    if by_pairs:
        make_by_pairs(monkeypatch)
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("this processor, or this process, has the shorter vectors alone")
    found = []
    for level in kernels.LIBRARIES:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda level=level: level)
        opened_anew()
        found.append(computed(sizes, kernel_size, given, asked, dtype))
    monkeypatch.undo()
    opened_anew()
    assert all(map(torch.equal, *found))


@every_case
def test_memory_formats_change_no_bit(sizes, kernel_size, given, asked):
    batch, inputs, outputs, groups = sizes
    layer = CCConv2d(groups * inputs, groups * outputs, kernel_size, groups=groups, implementation="phases")
    x = torch.randn(batch, groups * inputs, *given)
    formats = (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT, x.expand(batch, -1, -1, -1))
    expected, *others = (layer(image, size=asked) for image in formats)
    assert all(torch.equal(y, expected) for y in others)


@pytest.mark.parametrize("outputs", [1, 5, 8, 16, 20])
def test_numbers_that_nobody_reads_do_not_matter(outputs):
    """Vectors read neighbours too, and buffers are used again: whatever lies there, only the sums that read it show."""
    layer = CCConv2d(3, outputs, 3, implementation="phases")
    for size in ((9, 9), (6, 7)):
        layer(torch.full((4, 3, 12, 12), torch.nan), size=size)  # leaves its buffers full of it
        x = torch.randn(2, 3, 12, 12, requires_grad=True)
        y = layer(x, size=size)
        assert y.isfinite().all()
        gradients = torch.autograd.grad(y.sum(), [x, *layer.parameters()])
        assert all(gradient.isfinite().all() for gradient in gradients)
    broken = torch.randn(2, 3, 12, 12)
    broken[1, 2, 11, 11] = torch.nan
    y = layer(broken, size=(9, 9))
    assert y[0].isfinite().all()
    assert y[1, :, :6].isfinite().all()
    assert y[1, :, -1, -1].isnan().all()


@pytest.mark.parametrize("channels", [4, 11])
def test_channels_of_a_depthwise_sum_do_not_meet(channels):
    layer = CCConv2d(channels, channels, 4, groups=channels, implementation="phases")
    x = torch.randn(2, channels, 9, 9)
    x[:, 1] = torch.nan
    x.requires_grad_()
    y = layer(x, size=7)
    assert y.isnan().any((0, 2, 3)).nonzero().tolist() == [[1]]
    (gradient,) = torch.autograd.grad(y.sum(), layer.filter.get_parameter("weight"))
    assert gradient.isnan().any((0, 2)).sum() <= 1


def test_calls_of_several_python_threads_do_not_meet():
    cases = [(*case, dtype, seed) for case, dtype, seed in itertools.product(CASES.values(), TYPES, range(3))]
    expected = [computed(*case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda case: computed(*case), cases))
    for a, b in zip(found, expected, strict=True):
        assert all(map(torch.equal, a, b))


def test_without_kernels_the_numbers_are_the_same(monkeypatch):
    filter, x = MLPFilter(3, 5, 4).double(), torch.randn(2, 3, 12, 9, dtype=torch.float64, requires_grad=True)

    def results():
        y = cc_conv2d(x, filter, scale=0.75, implementation="phases")
        return y, *torch.autograd.grad(y.cos().sum(), [x, *filter.parameters()])

    expected = results()
    monkeypatch.setattr(kernels, "library", lambda: None)
    torch.testing.assert_close(results(), expected, rtol=0, atol=1e-12)


class Own(Filter):
    """A filter whose functions have another type than its image."""

    def __init__(self, out_channels, of_image, of_functions):
        super().__init__(support=3, vanishes=False)
        self.weight = nn.Parameter(torch.randn(2, out_channels, 3, dtype=of_image))
        self.of_functions = of_functions

    def basis(self, offsets):
        return torch.stack([offsets[..., 0].cos(), offsets[..., 1].sin()], -1).to(dtype=self.of_functions)

    def coefficients(self):
        return self.weight


@pytest.mark.parametrize("of_image", TYPES)
@pytest.mark.parametrize("of_functions", TYPES)
@pytest.mark.parametrize("outputs", [3, 16])
def test_functions_of_another_type_than_the_image(of_image, of_functions, outputs):
    torch.manual_seed(0)
    filter, x = Own(outputs, of_image, of_functions), torch.randn(2, 3, 9, 8, dtype=of_image, requires_grad=True)
    found = []
    for implementation in ("phases", "reference"):
        y = cc_conv2d(x, filter, scale=0.75, implementation=implementation)
        found.append((y, *torch.autograd.grad(y.cos().sum(), [x, filter.weight])))
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


def test_a_wide_layer_under_autocast():
    layer, x = CCConv2d(16, 16, 3, scale=0.75).double(), torch.randn(1, 16, 32, 32)
    with torch.autocast("cpu"):
        y = layer(x)
    expected = layer(x.double())
    assert (y - expected).abs().max() < 0.02 * expected.abs().max()
    y.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_no_mode_and_no_default_device_reaches_the_buffers(monkeypatch):
    make_by_pairs(monkeypatch)
    layer, x = CCConv2d(4, 8, 4, scale=0.75).eval(), torch.randn(2, 4, 9, 9)

    def afresh():
        vars(kernels.KEPT).clear()
        layer.filter.get_parameter("weight").data.add_(0)
        return layer(x)

    with torch.no_grad():
        expected = afresh()
        with torch.device("meta"):
            assert torch.equal(afresh(), expected)
        assert torch.equal(layer(x), expected)
    with torch.inference_mode():
        assert torch.equal(afresh(), expected)
    with torch.no_grad():
        assert torch.equal(layer(x), expected)


def test_numbers_that_are_stored_with_the_other_sign():
    layer, x = CCConv2d(2, 1, 3, scale=0.75), torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        expected = layer(-x)
        assert torch.equal(layer(torch._neg_view(x)), expected)


@pytest.mark.parametrize("negated", ["basis", "coefficients"])
def test_a_filter_that_is_stored_with_the_other_sign(negated):
    filter, x = Own(1, torch.float32, torch.float32), torch.randn(1, 3, 8, 8)
    original = getattr(filter, negated)
    with torch.no_grad():
        expected = -cc_conv2d(x, filter, scale=0.75, implementation="phases")
        setattr(filter, negated, lambda *offsets: torch._neg_view(original(*offsets)))
        assert torch.equal(cc_conv2d(x, filter, scale=0.75, implementation="phases"), expected)


def test_kernels_of_an_older_source_are_refused(monkeypatch, tmp_path):
    (tmp_path / "kernels.c").write_text("int one(void) { return 1; }", encoding="utf-8")
    for name in kernels.LIBRARIES.values():
        shutil.copy(Path(kernels.__file__).with_name(name), tmp_path)
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "kernels.py"))
    opened_anew()
    with pytest.raises(OSError, match=r"kernels\.c has changed since cclib was installed"):
        kernels.library()
    (tmp_path / "kernels.c").unlink()  # as in an installed wheel
    assert kernels.library() is not None
    monkeypatch.undo()
    opened_anew()


def test_the_threads_are_those_of_torch():
    assert kernels.parallel() is not None


def test_an_axis_that_reads_nothing():
    """However many samples it has, the packed image has a line of zeros, and no number before it."""
    empty = Runs(600, 1, (Run(0, ()),))
    x, size = torch.ones(1, 64, 40, 40), sums.Sizes(1, 1, 64, 8)
    reads = sums.reads_of(empty, sums.all_of((40, 40)).horizontal)
    table = torch.zeros(1, 0, 64 * 8)
    y = sums.correlate(x, [table], torch.arange(8.0), reads, size)
    assert torch.equal(y, torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 600, 40))


def test_a_large_image_needs_no_room_of_its_size(monkeypatch):
    asked = []

    def noted(name, numbers, dtype):
        asked.append(numbers)
        return kernels.scratch(name, numbers, dtype)

    monkeypatch.setattr(sums, "scratch", noted)
    layer, x = CCConv2d(3, 3, 4, scale=0.75), torch.randn(1, 3, 600, 600)
    with torch.no_grad():
        layer(x)
    assert max(asked) < x.numel() / 4
