"""What notebook 00-playground shows: one layer on an image, and two trained networks, all moved by sliders."""

from companion.playground.layer import layer_panel, read_grey
from companion.playground.network import network_panel
from companion.playground.restorer import restorer_panel
from companion.playground.shipped import ship

__all__ = ["layer_panel", "network_panel", "read_grey", "restorer_panel", "ship"]
