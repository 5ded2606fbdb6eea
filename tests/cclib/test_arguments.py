"""Numbers, pairs and sizes as callers give them: plain, of numpy, or in tensors."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cclib.arguments import as_choice, as_flag, as_fraction, as_pair, as_scale, as_size, as_support, shown

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=150)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.9, Fraction(9, 10)),
        (2 / 3, Fraction(2, 3)),
        (-0.1, Fraction(-1, 10)),
        (3, Fraction(3)),
        (Fraction(5, 7), Fraction(5, 7)),
        (math.sqrt(0.5), Fraction(math.sqrt(0.5))),
        (1e-9, Fraction(1e-9)),
        (1 / 9_999, Fraction(1, 9_999)),
        (1 / 10_000, Fraction(1, 10_000)),  # the largest denominator
        (1 / 10_001, Fraction(1 / 10_001)),
        (torch.tensor(1 / 10_000), Fraction(1, 10_000)),
        (np.float64(0.9), Fraction(9, 10)),
        (np.float32(0.5), Fraction(1, 2)),
        (np.int64(3), Fraction(3)),
        (np.uint8(3), Fraction(3)),
        (np.float32(0.9), Fraction(9, 10)),
        (torch.tensor(0.9), Fraction(9, 10)),
        (torch.tensor(2 / 3, dtype=torch.float64), Fraction(2, 3)),
        (torch.tensor(math.pi, dtype=torch.float64), Fraction(math.pi)),
        (torch.tensor(3), Fraction(3)),
    ],
)
def test_a_number_means_the_simplest_fraction_that_rounds_to_it(value, expected):
    fraction = as_fraction(value, "scale")
    assert fraction == expected
    assert type(fraction.numerator) is type(fraction.denominator) is int
    assert fraction * 10**30 == expected * 10**30  # nothing of a fixed width inside


@given(st.floats(-1e6, 1e6, allow_nan=False))
@PROPERTY
def test_a_fraction_rounds_to_the_float_that_it_stands_for(number):
    assert float(as_fraction(number, "start")) == number


@pytest.mark.parametrize(
    "value", ["2", True, None, 1j, [1], np.ones(2), torch.ones(1), torch.tensor(True), torch.tensor(1j)]
)
def test_what_is_no_number_is_no_fraction(value):
    with pytest.raises(TypeError, match="scale must be a number, got"):
        as_fraction(value, "scale")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.inf)])
def test_what_is_not_finite_is_no_fraction(value):
    with pytest.raises(ValueError, match=r"scale must be finite, got .*(nan|inf)"):
        as_fraction(value, "scale")


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        (3, (3, 3)),
        ((3, 4), (3, 4)),
        ([3, None], (3, None)),
        (torch.tensor([3, 4]), (3, 4)),
        (np.array([3, 4]), (3, 4)),
        (torch.tensor(3), (3, 3)),
        (torch.Size((3, 4)), (3, 4)),
    ],
)
def test_a_pair(value, pair):
    assert as_pair(value, "size") == pair


@pytest.mark.parametrize("value", [(1, 2, 3), (1,), ()])
def test_a_sequence_that_is_no_pair(value):
    with pytest.raises(ValueError, match=r"size must be a number or a pair \(height, width\), got \("):
        as_pair(value, "size")


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2), (2, 1), (0,)])
def test_a_tensor_that_is_no_pair(shape):
    with pytest.raises(ValueError, match=r"size must be a number or a pair .* got a tensor of shape \("):
        as_pair(torch.zeros(shape), "size")


@pytest.mark.parametrize(
    "value", [2.0, 2.5, True, "3", None, math.nan, torch.tensor(2.0), torch.ones(2, dtype=torch.int)]
)
def test_a_size_is_an_integer(value):
    with pytest.raises(TypeError, match="size must be an integer, got"):
        as_size(value, "size")


@pytest.mark.parametrize("value", [3, np.int64(3), torch.tensor(3)])
def test_a_size(value):
    size = as_size(value, "size")
    assert size == 3
    assert type(size) is int


@pytest.mark.parametrize("value", [0, -1, np.int64(0), torch.tensor(0)])
def test_a_size_is_at_least_one(value):
    with pytest.raises(ValueError, match="size must be at least 1, got"):
        as_size(value, "size")


@pytest.mark.parametrize("value", [10**400, -(10**4000), Fraction(10**400, 3), Fraction(1, 10**4000)])
def test_a_number_is_one_that_a_float_can_be_near_to(value):
    with pytest.raises(
        ValueError, match=r"scale must be less than 2\^1023, with a denominator of at most 4096 bits, got"
    ):
        as_fraction(value, "scale")


def test_a_tensor_without_values_is_no_number():
    for read in (as_fraction, as_scale, as_size):
        with pytest.raises(TypeError, match="size must be a number, got a tensor without values"):
            read(torch.tensor(1.0, device="meta"), "size")
    with pytest.raises(TypeError, match=r"size must be a number or a pair .* got a sparse tensor"):
        as_pair(torch.ones(2).to_sparse(), "size")


@pytest.mark.parametrize("value", [0, 1, None, "True", [True], torch.tensor(True)])
def test_a_switch_is_true_or_false(value):
    with pytest.raises(TypeError, match="stretch must be True or False, got "):
        as_flag(value, "stretch")
    assert as_flag(True, "stretch") is True


@pytest.mark.parametrize("value", ["c", ["a"], {"a": 1}, None, 1, torch.zeros(2)])
def test_a_name_is_one_of_the_choices(value):
    with pytest.raises(ValueError, match="kind must be a Filter or one of a, b, got "):
        as_choice(value, ("a", "b"), "kind", beside="a Filter or ")
    assert as_choice("a", ("a", "b"), "kind") == "a"


@pytest.mark.parametrize("value", [1e-300, 5e-324, 1e19, (3, 1e300)])
def test_a_support_is_one_of_float32(value):
    with pytest.raises(ValueError, match=r"kernel_size must be from 1e-18 to 1e18, .* got "):
        as_support(value, "kernel_size")
    assert as_support((1e-18, 1e18), "kernel_size") == (Fraction(1e-18), 10**18)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**4000, "an integer of 13288 bits"),
        ((1, 10**4000), "(1, an integer of 13288 bits)"),
        (Fraction(1, 3), "Fraction(1, 3)"),
        (-1.5, "-1.5"),
        ("siren", "'siren'"),
    ],
)
def test_an_error_shows_any_value(value, text):
    assert shown(value) == text
    assert len(shown("x" * 10_000)) < 300


@pytest.mark.parametrize("value", [0, -0.5, torch.tensor(-1.0)])
def test_a_scale_is_greater_than_zero(value):
    with pytest.raises(ValueError, match=r"unit must be greater than 0, got -?[0-9.]+"):
        as_scale(value, "unit")
