"""Continuous convolution layers: convolutions whose output can have any size.

A companion to Shocher, Feinstein, Haim and Irani, "From Discrete to Continuous Convolution Layers" (2020), arXiv
2006.11120.

* `CCConv2d`, the layer; `cc_conv2d`, the layer as a function, and `explain`, how it would be computed.
* `convert` makes the convolutions of a network continuous, `freeze` makes them plain again, for deployment.
* `Frame` says where the samples of an image lie; `filters` holds the continuous filters.
"""

from cclib import filters
from cclib.conversion import Conversion, convert
from cclib.frames import Frame, Geometry
from cclib.frozen import FrozenConv2d, freeze
from cclib.functional import cc_conv2d, explain
from cclib.layers import CCConv2d
from cclib.version import __version__

__all__ = [
    "CCConv2d",
    "Conversion",
    "Frame",
    "FrozenConv2d",
    "Geometry",
    "__version__",
    "cc_conv2d",
    "convert",
    "explain",
    "filters",
    "freeze",
]
