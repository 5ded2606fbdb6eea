"""The definition of the layer: every implementation against slow loops, and a value worked out by hand.

Discrete layers are in test_conversion.py, classical resizers in test_filters.py.
"""

from typing import Any

import pytest
import torch
from functional_cases import PROPERTY
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_way import axes, lengths, slow_convolution, some_filters, too_wide

from cclib import cc_conv2d
from cclib.filters import ClassicalFilter
from cclib.functional import IMPLEMENTATIONS, PADDING_MODES


@given(
    some_filters(), axes(), axes(), st.integers(1, 2), st.sampled_from(PADDING_MODES), st.booleans(), st.booleans(),
    st.data(),
)  # fmt: skip
@settings(PROPERTY, max_examples=300)
def test_every_implementation_equals_the_slow_loops(
    filter_and_groups, vertical, horizontal, batch, padding_mode, stretch, biased, data
):
    filter, groups = filter_and_groups
    out_channels, in_per_group = filter.coefficients().shape[1:]
    (height, width), *geometry = zip(vertical, horizontal, strict=True)
    x = torch.randn(batch, in_per_group * groups, height, width, dtype=torch.float64)
    bias = torch.randn(out_channels, dtype=torch.float64) if biased else None
    arguments: dict[str, Any] = dict(zip(("scale", "size", "start"), geometry, strict=True))
    unit = data.draw(lengths(filter, stretch))
    arguments |= {"groups": groups, "padding_mode": padding_mode, "stretch": stretch, "unit": unit}
    if padding_mode == "reflect" and too_wide(filter, (height, width), stretch, *geometry, unit):
        for implementation in (*IMPLEMENTATIONS, "auto"):
            with pytest.raises(ValueError, match=r"padding_mode 'reflect' allows a pad of at most \d+ on \d+ pixels"):
                cc_conv2d(x, filter, bias, **arguments, implementation=implementation)
        return
    expected = slow_convolution(x, filter, bias, **arguments)
    outputs = {name: cc_conv2d(x, filter, bias, **arguments, implementation=name) for name in IMPLEMENTATIONS}
    magnitude = expected.abs().max().clamp_min(1)
    for name, y in outputs.items():
        for other in (expected, outputs["reference"]):
            torch.testing.assert_close(y / magnitude, other / magnitude, rtol=0, atol=1e-10, msg=name)
    automatic = cc_conv2d(x, filter, bias, **arguments)
    assert any(torch.equal(automatic, y) for y in outputs.values())


def test_a_value_worked_out_by_hand():
    # Outputs fall at 0.5 and 2.5; the stretched tent reads 0 … 2 about 0.5 with weights 3, 3, 1 and −1 with weight 1.
    x = torch.tensor([0.0, 8.0, 16.0, 24.0]).reshape(1, 1, 4)
    y = cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True, padding_mode="replicate")
    assert y.tolist() == [[[5.0, 19.0]]]
    zeros = cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True)
    assert zeros.tolist() == [[[5.0, 16.0]]]
