"""cc_conv2d: the continuous convolution as a function.

    y[n, o, p] = bias[o] + sum over c and taps q of x[n, c, q] * W(q − u(p))[o, c]

is a cross-correlation over the taps q in the window about u(p), the position of output p on the input.

``call`` has the public function and its checks. ``sampling`` reads filter and image on the grid, ``cache`` keeps the
filter's values in inference as long as ``state`` says that nothing changed. A ``problem`` is one such sum;
``implementations`` are the ways to compute it, ``registry`` their names, and ``choice`` picks one by their costs.
``lines``, ``gather`` (with ``plans``) and ``convolutions`` are the engines that they go by.
"""

from cclib.functional.call import cc_conv2d, check_input, convolve
from cclib.functional.choice import explain
from cclib.functional.implementations import IMPLEMENTATIONS
from cclib.functional.sampling import PADDING_MODES

__all__ = ["IMPLEMENTATIONS", "PADDING_MODES", "cc_conv2d", "check_input", "convolve", "explain"]
