"""Continuous convolution layers: convolutions whose output can have any size.

A companion to Shocher, Feinstein, Haim and Irani, "From Discrete to Continuous Convolution Layers" (2020), arXiv
2006.11120.
"""

from cclib import filters
from cclib.frames import Frame
from cclib.functional import cc_conv2d, explain
from cclib.layers import CCConv2d, freeze

__all__ = ["CCConv2d", "Frame", "cc_conv2d", "explain", "filters", "freeze"]
