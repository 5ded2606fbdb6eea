"""What notebook 00-playground shows: one layer on an image, and one trained network, both moved by sliders."""

from companion.playground.layer import layer_panel
from companion.playground.network import network_panel
from companion.playground.shipped import ship

__all__ = ["layer_panel", "network_panel", "ship"]
