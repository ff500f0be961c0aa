"""Operations on pictures that fill only the upper left part of an array, their canvas.

The size of a random transform's output changes with every step, but programs for all sizes would take too long to
compile. A picture's `extent`, (height, width), is two integers: Python's where the size is fixed, int32 scalars of JAX
where a step decides it. Results within the extent are those of an array of just this size; what lies outside is of no
meaning and finite.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

Extent = tuple[int | jax.Array, int | jax.Array]  # height, width

_EPS = 1e-5  # of batch normalization


def fills(x: jax.Array, extent: Extent) -> bool:
    """Whether the picture fills its canvas x [B, H, W, C]."""
    return all(isinstance(side, int) and side == there for side, there in zip(extent, x.shape[1:3], strict=True))


def inside(x: jax.Array, extent: Extent) -> jax.Array:
    """float32 [1, H, W, 1]: 1 in the picture, 0 outside."""
    rows, columns = (jnp.arange(there) < side for side, there in zip(extent, x.shape[1:3], strict=True))
    return (rows[:, None] & columns).astype(jnp.float32)[None, :, :, None]


def mean(x: jax.Array, extent: Extent) -> jax.Array:
    """Mean over all pixels of x [B, H, W, C], float32 [C]; 0 for an extent of 0."""
    if fills(x, extent):
        return jnp.mean(x, axis=(0, 1, 2))
    count = jnp.maximum(x.shape[0] * jnp.asarray(extent[0] * extent[1], jnp.float32), 1.0)
    return jnp.sum(jnp.where(inside(x, extent) > 0, x, 0.0), axis=(0, 1, 2)) / count


def batch_norm(x: jax.Array, extent: Extent, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """x [B, H, W, C] normalized by its own mean and variance, then times `scale` [C] plus `bias` [C]."""
    centred = x - mean(x, extent)
    variance = mean(jnp.square(centred), extent)
    y = centred * (scale * jax.lax.rsqrt(variance + _EPS)) + bias
    return y if fills(x, extent) else y * inside(x, extent)


def padded(x: jax.Array, extent: Extent, width: int, mode: str = "reflect") -> jax.Array:
    """`width` pixels more on each side, [B, H + 2 width, W + 2 width, C].

    mode: mirrored at the border pixel ("reflect"), or so that it comes twice ("symmetric").
    """
    away = {"reflect": 1, "symmetric": 0}[mode]
    if fills(x, extent):
        return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode=mode)
    return _mirrored(width, away, x, jnp.stack([jnp.asarray(side, jnp.int32) for side in extent]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _mirrored(width: int, away: int, x: jax.Array, sides: jax.Array) -> jax.Array:
    """`padded` of a picture of sides [2]. Only strips are touched, by its gradient too."""
    x = jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))
    for axis, source, target in _strips(width, away, sides):
        strip = jax.lax.dynamic_slice_in_dim(x, source, width, axis)
        x = jax.lax.dynamic_update_slice_in_dim(x, jnp.flip(strip, axis), target, axis)
    return x


def _mirrored_gradient(width: int, away: int, sides: jax.Array, cotangent: jax.Array):
    for axis, source, target in reversed(_strips(width, away, sides)):
        strip = jnp.flip(jax.lax.dynamic_slice_in_dim(cotangent, target, width, axis), axis)
        own = jax.lax.dynamic_slice_in_dim(cotangent, source, width, axis)
        # What was overwritten gets no gradient, in case it is the source of a strip or lies inside the array.
        cotangent = jax.lax.dynamic_update_slice_in_dim(cotangent, jnp.zeros_like(strip), target, axis)
        cotangent = jax.lax.dynamic_update_slice_in_dim(cotangent, own + strip, source, axis)
    return cotangent[:, width:-width, width:-width], np.zeros(2, jax.dtypes.float0)


_mirrored.defvjp(
    lambda width, away, x, sides: (_mirrored(width, away, x, sides), sides),
    lambda width, away, sides, cotangent: _mirrored_gradient(width, away, sides, cotangent),
)


def _strips(width: int, away: int, sides: jax.Array) -> list[tuple]:
    """(axis, where a strip of `width` starts, where it goes in reverse order) in the padded array."""
    strips = []
    for axis, side in ((1, sides[0]), (2, sides[1])):
        strips += [(axis, width + away, 0), (axis, side - away, width + side)]
    return strips


def resized(x: jax.Array, extent: Extent, canvas: tuple[int, int], wanted: Extent, corners: bool) -> jax.Array:
    """The picture of `extent` in x [B, H, W, C] brought to the extent `wanted` on another canvas, bilinearly.

    Pixels past the border repeat it; there is no antialiasing.

    Args:
      corners: the centres of the corner pixels stay in place; else the corners themselves do (half-pixel centres).
    """
    rows, columns = (
        _weights(*sides, corners) for sides in zip(x.shape[1:3], extent, canvas, wanted, strict=True)
    )
    exact = jax.lax.Precision.HIGHEST
    batch, height, width, channels = x.shape
    flat = x.reshape(batch, height, width * channels)
    x = jnp.einsum("ph,bhw->bpw", rows, flat, precision=exact).reshape(batch, -1, width, channels)
    return jnp.einsum("qw,bpwc->bpqc", columns, x, precision=exact)


def _weights(canvas_side: int, side, new_canvas_side: int, new_side, corners: bool) -> jax.Array:
    """float32 [new_canvas_side, canvas_side]: what each new pixel of one axis takes of the old ones."""
    numbers, old, new = jnp.arange(new_canvas_side, dtype=jnp.float32), _float(side), _float(new_side)
    at = numbers * ((old - 1) / jnp.maximum(new - 1, 1)) if corners else (numbers + 0.5) * (old / new) - 0.5
    at = jnp.clip(at, 0, old - 1)
    return jnp.maximum(1 - jnp.abs(at[:, None] - jnp.arange(canvas_side, dtype=jnp.float32)), 0)


def _float(side: int | jax.Array) -> jax.Array:
    return jnp.asarray(side, jnp.float32)
