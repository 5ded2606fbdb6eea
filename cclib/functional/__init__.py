"""cc_conv2d: the continuous convolution as a function.

    y[n, o, p] = bias[o] + sum over c and taps q of x[n, c, q] * W(q − u(p))[o, c]

is a cross-correlation over the taps q in the window about u(p), the position of output p on the input.

``call`` has the public function and its checks, and resolves the geometry, a ``problem``. ``sampling`` reads the filter
at the offsets of a problem, ``tables`` holds these and other tensors that follow from it, ``cache`` keeps the filter's
values in inference as long as ``state`` says that nothing changed. What is left is a sum of image, scalar functions and
coefficients: an ``operator`` of torch. ``implementations`` are the ways to compute it, ``registry`` says what one is,
and ``choice`` picks one by their costs. They go by engines: ``sums`` by compiled ``kernels``, ``convolutions``,
``views`` of a padded image, and ``lines``. The ``reference`` is the definition in a few lines.
"""

from cclib.functional.call import CHOICES, FLOATS, IMPLEMENTATIONS, cc_conv2d, check_input, convolve, place
from cclib.functional.choice import explain
from cclib.functional.tables import PADDING_MODES

__all__ = [
    "CHOICES",
    "FLOATS",
    "IMPLEMENTATIONS",
    "PADDING_MODES",
    "cc_conv2d",
    "check_input",
    "convolve",
    "explain",
    "place",
]
