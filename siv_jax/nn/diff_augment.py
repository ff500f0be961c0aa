"""Differentiable augmentation (DiffAugment; Zhao et al., 2020): colour, translation, cutout.

Images are float32 [B, H, W, C]; every sample has its own draw. Nothing is clipped to [-1, 1], and what is shifted in or
cut out is 0, mid gray. Real and generated images pass through the same kinds of change, so that a generator does not
learn to make them.
"""

import jax
import jax.numpy as jnp

UNIFORMS = 7  # random numbers per sample
_SHIFT, _CUT = 0.125, 0.5  # of a side


def augment(uniform: jax.Array, images: jax.Array, policy: str) -> jax.Array:
    """`images` after the kinds that `policy` lists ("color,translation"), in its order; "" changes nothing.

    Args:
      uniform: float32 [B, UNIFORMS] in [0, 1).
    """
    height, width = images.shape[1:3]
    for kind in filter(None, policy.split(",")):
        if kind == "color":
            images = contrast(saturation(brightness(images, uniform[:, 0]), uniform[:, 1]), uniform[:, 2])
        elif kind == "translation":
            rows, columns = (
                _whole(draw, 2 * shift(side) + 1) - shift(side)
                for draw, side in ((uniform[:, 3], height), (uniform[:, 4], width))
            )
            images = translation(images, rows, columns)
        else:
            rows, columns = (
                _whole(draw, side + 1 - cut(side) % 2)
                for draw, side in ((uniform[:, 5], height), (uniform[:, 6], width))
            )
            images = cutout(images, rows, columns)
    return images


def brightness(images: jax.Array, uniform: jax.Array) -> jax.Array:
    """Plus `uniform` [B] - 0.5."""
    return images + (_each(uniform) - 0.5)


def saturation(images: jax.Array, uniform: jax.Array) -> jax.Array:
    """Differences from the mean over channels times 2 `uniform` [B]."""
    mean = jnp.mean(images, axis=-1, keepdims=True)
    return (images - mean) * (2.0 * _each(uniform)) + mean


def contrast(images: jax.Array, uniform: jax.Array) -> jax.Array:
    """Differences from the mean over the sample times `uniform` [B] + 0.5."""
    mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (_each(uniform) + 0.5) + mean


def translation(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """result[r, c] = image[r + rows, c + columns], 0 outside; int32 [B] within -`shift` to `shift` of each side."""
    height, width, channels = images.shape[1:]
    room = shift(height), shift(width)
    padded = jnp.pad(images, ((0, 0), *((side, side) for side in room), (0, 0)))

    def window(image, row, column):
        return jax.lax.dynamic_slice(image, (row + room[0], column + room[1], 0), (height, width, channels))

    return jax.vmap(window)(padded, rows, columns)


def cutout(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """0 in a rectangle of `cut` of each side that begins half its size before row and column; int32 [B] each."""
    inside = [
        (cells >= place[:, None] - size // 2) & (cells < place[:, None] - size // 2 + size)
        for place, side in zip((rows, columns), images.shape[1:3], strict=True)
        for cells, size in [(jnp.arange(side), cut(side))]
    ]
    return jnp.where((inside[0][:, :, None] & inside[1][:, None, :])[..., None], 0.0, images)


def shift(side: int) -> int:
    """Pixels by which a side of so many is shifted at most."""
    return int(side * _SHIFT + 0.5)


def cut(side: int) -> int:
    """Pixels that are cut out of a side of so many."""
    return int(side * _CUT + 0.5)


def _whole(uniform: jax.Array, count: int) -> jax.Array:
    """int32 0 to count - 1."""
    return jnp.floor(uniform * count).astype(jnp.int32)


def _each(uniform: jax.Array) -> jax.Array:
    return uniform[:, None, None, None]
