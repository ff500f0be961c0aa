"""A stride-1 convolution whose two gradients are themselves ordinary convolutions.

XLA's CPU backend runs an NHWC/HWIO convolution at 60-150 GFLOP/s, but what autodiff makes of its gradients (kernels
read backwards, batch and features exchanged) at a fraction of that, and inside a loop some thirty times slower still.
Here both gradients are written in the layout that is fast, so that a loop over training steps costs what single steps do.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

# Positions of one picture whose patches stay in a core's cache while a weight gradient is formed.
STRIPE = 8192
# Up to so many output channels it pays to exchange the roles of input and gradient.
FEW_CHANNELS = 4

Padding = tuple[tuple[int, int], tuple[int, int]]


def convolve(x: jax.Array, kernel: jax.Array, padding: Padding, strides=(1, 1), dtype=None) -> jax.Array:
    """NHWC by HWIO convolution as XLA has it; `dtype` is that of the sums and the result."""
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), preferred_element_type=dtype
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def direct_convolve(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """x (B, H, W, I) by kernel (h, w, I, O), stride 1, `padding` zeros ((above, below), (left, right)), not above h-1, w-1."""
    return convolve(x, kernel, padding)


def _forward(x, kernel, padding):
    return convolve(x, kernel, padding), (x, kernel)


def _backward(padding, saved, cotangent):
    x, kernel = saved
    return (
        input_gradient(cotangent, kernel, padding),
        weight_gradient(x, cotangent, padding).astype(kernel.dtype),
    )


direct_convolve.defvjp(_forward, _backward)


def input_gradient(cotangent: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The gradient of `direct_convolve` by x: the cotangent by the kernel turned by 180 degrees."""
    turned = lax.rev(kernel, (0, 1)).swapaxes(2, 3)
    (above, below), (left, right) = padding
    rows, columns = kernel.shape[0] - 1, kernel.shape[1] - 1
    return convolve(cotangent, turned, ((rows - above, rows - below), (columns - left, columns - right)))


def weight_gradient(x: jax.Array, cotangent: jax.Array, padding: Padding) -> jax.Array:
    """The gradient of `direct_convolve` by its kernel, at least float32: channels are the batch, one
    sample's stripe of rows at a time is a one-channel picture, the cotangent's same stripe is the kernel."""
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    if cotangent.shape[-1] <= FEW_CHANNELS < x.shape[-1]:
        rows, columns = padded.shape[1] - cotangent.shape[1], padded.shape[2] - cotangent.shape[2]
        swapped = _correlate(jnp.pad(cotangent, ((0, 0), (rows, rows), (columns, columns), (0, 0))), padded)
        return lax.rev(swapped, (0, 1)).swapaxes(2, 3)
    return _correlate(padded, cotangent)


def _correlate(x: jax.Array, window: jax.Array) -> jax.Array:
    """sum over samples and places p of x[b, p + k, i] * window[b, p, o], for every shift k that stays inside x: (k, i, o)."""
    dtype = jnp.float32 if x.dtype.itemsize < 4 else x.dtype
    batch, rows, columns, _ = window.shape
    extra = x.shape[1] - rows
    height = max(1, min(rows, STRIPE // columns))
    pictures, kernels = x.transpose(3, 1, 2, 0), window.transpose(1, 2, 0, 3)
    total = None
    for sample in range(batch):
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            part = convolve(
                pictures[:, top : bottom + extra, :, sample : sample + 1],
                kernels[top:bottom, :, sample : sample + 1],
                ((0, 0), (0, 0)),
                dtype=dtype,
            )
            total = part if total is None else total + part
    return total.transpose(1, 2, 0, 3)
