"""The resampler of SinGAN and ConSinGAN: pyramids of pictures, and what passes from one scale to the next.

A separable cubic (a = -0.5), with antialiasing where pictures shrink, after a quantisation to 256 levels by truncation
(as run) that can be left out.
Pictures are NHWC in [-1, 1]. Numpy arrays are computed in float64, so that a pyramid does not depend on rounding;
arrays of JAX in float32. No gradient passes.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

SUPPORT = 4  # pixels that the cubic spans
_ROUNDING = 1e-4  # levels: more than float32 errs by


def as_float(frame: np.ndarray) -> np.ndarray:
    """uint8 0 to 255 to float32 -1 to 1, rounded as run; float frames pass as they are."""
    return (frame.astype(np.float32) / np.float32(255) - np.float32(0.5)) * 2 if frame.dtype == np.uint8 else frame


def scaled_size(height: int, width: int, factor: float | tuple[float, float]) -> tuple[int, int]:
    """(height, width) that `by_factor` gives: both rounded up, in float64."""
    rows, columns = _pair(factor)
    return math.ceil(height * rows), math.ceil(width * columns)


def by_factor(
    images: np.ndarray | jax.Array, factor: float | tuple[float, float], quantise: bool = True
) -> np.ndarray | jax.Array:
    """Pictures [N, H, W, C] scaled by `factor`, one for both axes or (rows, columns): float32 of `scaled_size`."""
    factors = _pair(factor)
    return _resampled(images, scaled_size(*images.shape[1:3], factors), factors, quantise)


def to_size(images: np.ndarray | jax.Array, size: tuple[int, int], quantise: bool = True) -> np.ndarray | jax.Array:
    """Pictures [N, H, W, C] brought to `size` (height, width), each axis by its own factor: float32."""
    return _resampled(images, size, (size[0] / images.shape[1], size[1] / images.shape[2]), quantise)


def quantised(images: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
    """Levels 0 to 255 (as float32) of pictures in [-1, 1], truncated in float32 as run.

    Of the levels of an 8-bit picture that was brought to [-1, 1], 1 to 63 come back one lower.
    """
    xp = np if isinstance(images, np.ndarray) else jnp
    share = xp.clip((images.astype(np.float32) + np.float32(1)) / np.float32(2), np.float32(0), np.float32(1))
    return xp.trunc(np.float32(255) * share)


@functools.lru_cache(maxsize=256)
def weights(length: int, out: int, factor: float, antialias: bool) -> np.ndarray:
    """The matrix float64 [out, length] that resamples one axis by `factor`.

    Borders as run: past the end pixels are mirrored (the last one repeated), before the start they are left out.
    """
    shrink = factor if antialias else 1.0
    support = SUPPORT / shrink
    place = np.arange(1, out + 1) / factor + (1 - 1 / factor) / 2  # of each new pixel among the old, from 1
    taps = np.floor(place - support / 2)[:, None] + np.arange(math.ceil(support) + 2)
    share = _cubic(shrink * (place[:, None] - taps)) * (taps >= 1)
    share /= share.sum(axis=1, keepdims=True)
    there = (taps.astype(np.int64) - 1) % (2 * length)
    matrix = np.zeros((out, length))
    np.add.at(matrix, (np.arange(out)[:, None], np.minimum(there, 2 * length - 1 - there)), share)
    matrix.setflags(write=False)
    return matrix


def _resampled(images, size, factors, quantise):
    antialias = factors[0] < 1  # as run, the rows decide for both axes
    rows, columns = (
        weights(length, out, factor, antialias)
        for length, out, factor in zip(images.shape[1:3], size, factors, strict=True)
    )
    of = quantised if quantise else _levels
    if isinstance(images, np.ndarray):
        levels = of(images).astype(np.float64)
        return _mapped_back(np.einsum("ph,nhwc,qw->npqc", rows, levels, columns, optimize=True)).astype(np.float32)
    levels, precision = of(jax.lax.stop_gradient(images)), jax.lax.Precision.HIGHEST
    levels = jnp.einsum("ph,nhwc->npwc", rows.astype(np.float32), levels, precision=precision)
    levels = jnp.einsum("qw,npwc->npqc", columns.astype(np.float32), levels, precision=precision)
    # In even areas levels are whole. float32 errs to either side of them, which the next truncation would tell apart.
    whole = jnp.round(levels)
    return _mapped_back(jnp.where(jnp.abs(levels - whole) < _ROUNDING, whole, levels))


def _levels(images):
    """Pictures in [-1, 1] as 0 to 255."""
    return (images + np.float32(1)) * np.float32(127.5)


def _mapped_back(levels):
    """Levels 0 to 255 to [-1, 1]."""
    return ((levels / 255 - 0.5) * 2).clip(-1, 1)


def _pair(factor: float | tuple[float, float]) -> tuple[float, float]:
    return factor if isinstance(factor, tuple) else (factor, factor)


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
