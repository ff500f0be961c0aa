"""The convolutions of the networks: alone, after a nearest x2 upsampling, before a 2x2 average pooling.

Pictures are NHWC, kernels HWIO (3x3 or 1x1), float32 or bfloat16, both of one dtype; zero padding keeps the size; there is
no bias. Each operation has three forms that compute the same function:

    plain   as the name says, gradients by autodiff: the reference of the tests
    fused   fewer operations (see each function), gradients by autodiff
    direct  as fused, with gradients that are ordinary convolutions (direct.py)

`chosen_form` decides. It is read while a function is traced: one that is already compiled keeps the form it was traced with.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp

from siv_jax.ops.direct import Padding, convolve, direct_convolve

FORMS = ("plain", "fused", "direct")
# XLA's own gradients of a convolution are slow on a CPU alone (benchmarks/convolution.py measures it).
BACKEND_FORM = {"cpu": "direct"}
OTHER_FORM = "fused"
_forced: ContextVar[str | None] = ContextVar("forced_form", default=None)


def chosen_form() -> str:
    """The form in use: one forced by `forced_form`, else the measured best of the default backend."""
    return _forced.get() or BACKEND_FORM.get(jax.default_backend(), OTHER_FORM)


@contextlib.contextmanager
def forced_form(form: str) -> Iterator[None]:
    """Everything traced inside uses `form`. ValueError for an unknown one."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: choose from {', '.join(FORMS)}")
    token = _forced.set(form)
    try:
        yield
    finally:
        _forced.reset(token)


def conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (k, k, I, O), k 1 or 3: (B, H, W, O). A 1x1 kernel is a matrix product."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return _stride1(x, kernel, ((1, 1), (1, 1)))


def upsample_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """conv2d(upsample2d(x), kernel): (B, H, W, I) to (B, 2H, 2W, O).

    Every output pixel sees 2x2 distinct pixels of x through sums of the kernel's rows and columns, so that the 3x3 kernel
    is four 2x2 kernels, one for each parity of row and column, applied to x itself: 4/9 of the multiplications. A 1x1 kernel
    is applied before the upsampling: a quarter.
    """
    if kernel.shape[:2] == (1, 1):
        return upsample2d(conv2d(x, kernel))
    if chosen_form() == "plain":
        return conv2d(upsample2d(x), kernel)
    phases = jnp.stack([_paired(_paired(kernel, 0, a), 1, b) for a in (0, 1) for b in (0, 1)], axis=3)
    out = phases.shape[-1]
    maps = _stride1(x, phases.reshape(2, 2, -1, 4 * out), ((1, 1), (1, 1)))
    batch, height, width, _ = x.shape
    # An even row comes from the rows above and at its pixel of x, an odd one from those at and below it.
    parts = [
        maps[:, a : a + height, b : b + width, (2 * a + b) * out : (2 * a + b + 1) * out]
        for a in (0, 1)
        for b in (0, 1)
    ]
    grid = jnp.stack([jnp.stack(parts[:2], axis=3), jnp.stack(parts[2:], axis=3)], axis=2)
    return grid.reshape(batch, 2 * height, 2 * width, out)


def conv2d_pool(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """avg_pool2d(conv2d(x, kernel)): (B, H, W, I) to (B, max(H // 2, 1), max(W // 2, 1), O).

    Averaging two neighbours of a convolution widens its kernel from 3 taps to 4 and halves the places: 4/9 of the
    multiplications. A 1x1 kernel is applied after the pooling: a quarter. A side of 1 is not pooled: its axis keeps 3 taps.
    """
    if kernel.shape[:2] == (1, 1):
        return conv2d(avg_pool2d(x), kernel)
    if chosen_form() == "plain" or 1 in x.shape[1:3]:
        return avg_pool2d(conv2d(x, kernel))
    wide = _widened(_widened(kernel, 0), 1)
    if chosen_form() == "fused":
        return convolve(x, wide, _edges(x), strides=(2, 2))
    return _strided_by_depth(x, wide)


def avg_pool2d(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels: (B, H, W, C) to (B, max(H // 2, 1), max(W // 2, 1), C); an odd last row or column is left out,
    a side of 1 stays."""
    batch, height, width, channels = x.shape
    rows, columns = min(height, 2), min(width, 2)
    kept = x[:, : height // rows * rows, : width // columns * columns]
    return kept.reshape(batch, height // rows, rows, width // columns, columns, channels).mean((2, 4))


def upsample2d(x: jax.Array) -> jax.Array:
    """Every pixel twice in both directions: (B, H, W, C) to (B, 2H, 2W, C)."""
    batch, height, width, channels = x.shape
    grid = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return grid.reshape(batch, 2 * height, 2 * width, channels)


def _stride1(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    return (direct_convolve if chosen_form() == "direct" else convolve)(x, kernel, padding)


def _paired(kernel: jax.Array, axis: int, parity: int) -> jax.Array:
    """Three taps on an upsampled axis as two taps on the axis itself, for the even (0) or odd (1) places."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first, middle + last] if parity == 0 else [first + middle, last], axis)


def _widened(kernel: jax.Array, axis: int) -> jax.Array:
    """Three taps followed by the mean of two neighbours, as four taps."""
    before = [(0, 0)] * kernel.ndim
    after = [(0, 0)] * kernel.ndim
    before[axis], after[axis] = (1, 0), (0, 1)
    return (jnp.pad(kernel, before) + jnp.pad(kernel, after)) * jnp.asarray(0.5, kernel.dtype)


def _edges(x: jax.Array) -> Padding:
    """One row above and one below the pooled rows, columns alike: zeros, or below an odd side the row left out there."""
    return (1, 1 - x.shape[1] % 2), (1, 1 - x.shape[2] % 2)


def _strided_by_depth(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The 4x4 convolution of stride 2 as a 2x2 one over blocks of 2x2 pixels laid out as channels."""
    batch, _, _, channels = x.shape
    padded = jnp.pad(x, ((0, 0), *_edges(x), (0, 0)))
    height, width = padded.shape[1] // 2, padded.shape[2] // 2
    blocks = padded[:, : 2 * height, : 2 * width].reshape(batch, height, 2, width, 2, channels)
    blocks = blocks.swapaxes(2, 3).reshape(batch, height, width, 4 * channels)
    taps = kernel.reshape(2, 2, 2, 2, channels, -1).swapaxes(1, 2).reshape(2, 2, 4 * channels, -1)
    return _stride1(blocks, taps, ((0, 0), (0, 0)))
