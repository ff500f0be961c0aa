"""Layers of both networks as functions of their parameters."""

from collections.abc import Callable

import jax
import numpy as np

from siv_jax.models.ingan import canvas
from siv_jax.models.ingan.canvas import Extent
from siv_jax.nn.convolution import conv2d_valid


def conv_shapes(size: int, inputs: int, outputs: int) -> dict:
    """Parameters of a convolution and the batch normalization behind it, see `conv_norm`."""
    kernel = jax.ShapeDtypeStruct((size, size, inputs, outputs), np.float32)
    return {"kernel": kernel} | {name: jax.ShapeDtypeStruct((outputs,), np.float32) for name in ("scale", "bias")}


def conv_norm(
    x: jax.Array,
    extent: Extent,
    layer: dict,
    convolve: Callable[[jax.Array, jax.Array], jax.Array] = conv2d_valid,
) -> jax.Array:
    """Convolution, then batch normalization over the result's `extent`: always by the pictures at hand."""
    return canvas.batch_norm(convolve(x, layer["kernel"]), extent, layer["scale"], layer["bias"])
