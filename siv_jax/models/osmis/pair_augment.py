"""Augmentation of pictures together with their masks (the original's released pipe; p = 0.7 recommended).

Whether each of five operations happens is drawn once for the batch, how it happens for each sample. Each operation by
itself gives what the original gives; here two bilinear lookups make all of them, so that several blur no more than a
rotation does. Rotations show mirrored content where they reach over an edge, which happens in elongated pictures (as
run: zeros, which belong to no class).
"""

import jax
import jax.numpy as jnp

from siv_jax.nn.image_augment import bilinear, reflect

DECISIONS = 7  # uniform numbers of the batch
PLACES = 9  # and of each sample

_CROP = (0.75, 1.0)  # of both sides
_DEGREES = 8.0
_KEPT = 0.8  # of a rotated picture's sides
_SHIFT = (0.05, 0.30)  # of a side


def augment(
    decisions: jax.Array, places: jax.Array, scales: list[jax.Array], mask: jax.Array, probability: float
) -> tuple[list[jax.Array], jax.Array]:
    """Pictures at several scales and their masks under one transform per sample; gradients flow to both.

    Every scale is brought to full size, transformed, and brought back, as run: coarse scales are smoothed by that even
    where nothing happens.

    Args:
      decisions: float32 [DECISIONS] in [0, 1): of the 2x zoom (half of `probability`), the crop or rotation, which of
        the two, the crop's size, the flip, the vertical and the horizontal shift.
      places: float32 [B, PLACES] in [0, 1): x and y of the zoom, x and y of the crop, the angle, the sizes and the
        directions of both shifts.
      scales: [B, h, w, c], coarse to fine, the finest [B, H, W, c].
      mask: [B, H, W, M], soft.
    """
    height, width = mask.shape[1:3]
    whole = [_resized(images, height, width) for images in scales]
    seen = jnp.concatenate([*whole, mask], axis=-1)
    for y, x in (
        _rotated_and_zoomed(decisions, places, probability, height, width),
        _shifted_and_cropped(decisions, places, probability, height, width),
    ):
        seen = jax.vmap(bilinear)(seen, y, x)
    ends = [scales[0].shape[-1] * (i + 1) for i in range(len(scales))]
    *whole, mask = jnp.split(seen, ends, axis=-1)
    return [_resized(images, *scale.shape[1:3]) for images, scale in zip(whole, scales, strict=True)], mask


def _resized(images: jax.Array, height: int, width: int) -> jax.Array:
    """Half-pixel bilinear, without antialiasing."""
    if images.shape[1:3] == (height, width):
        return images
    shape = images.shape[0], height, width, images.shape[3]
    return jax.image.resize(images, shape, "linear", antialias=False)


def _grid(batch: int, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Rows and columns [B, H, W] of every position."""
    y = jnp.broadcast_to(jnp.arange(height, dtype=jnp.float32)[:, None], (batch, height, width))
    return y, jnp.broadcast_to(jnp.arange(width, dtype=jnp.float32), (batch, height, width))


def _rotated_and_zoomed(decisions, places, probability, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Rows and columns [B, H, W] of the picture that are seen after the zoom, then the rotation about the centre."""
    y, x = _grid(len(places), height, width)
    turned = _rotated(y, x, places[:, 4], height, width)
    rotates = (decisions[1] < probability) & (decisions[2] >= 0.5)
    y, x = (jnp.where(rotates, there, own) for there, own in zip(turned, (y, x), strict=True))
    zooms = decisions[0] < 0.5 * probability
    return (
        jnp.where(zooms, _zoomed(y, places[:, 1], height), y),
        jnp.where(zooms, _zoomed(x, places[:, 0], width), x),
    )


def _shifted_and_cropped(decisions, places, probability, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Rows and columns [B, H, W] that are seen after the crop, the flip and the shifts."""
    y, x = _grid(len(places), height, width)
    x = reflect(x + _shift(decisions[6] < probability, places[:, 6], places[:, 8], width), width)
    y = reflect(y + _shift(decisions[5] < probability, places[:, 5], places[:, 7], height), height)
    x = jnp.where(decisions[4] < probability, width - 1 - x, x)
    crops, happens = decisions[2] < 0.5, decisions[1] < probability
    seen = []
    for position, place, side in ((y, places[:, 3], height), (x, places[:, 2], width)):
        length = jnp.floor((_CROP[0] + (_CROP[1] - _CROP[0]) * decisions[3]) * side)
        length = jnp.where(crops, length, int(_KEPT * side))
        middle = jnp.full_like(place, (side - int(_KEPT * side)) // 2)
        start = jnp.where(crops, jnp.floor(place * (side - length + 1)), middle)[:, None, None]
        window = start + jnp.clip((position + 0.5) * (length / side) - 0.5, 0.0, length - 1.0)
        seen.append(jnp.where(happens, window, position))
    return seen[0], seen[1]


def _shift(happens: jax.Array, size: jax.Array, direction: jax.Array, side: int) -> jax.Array:
    """Whole pixels [B, 1, 1] by which a position is moved."""
    pixels = jnp.floor((_SHIFT[0] + (_SHIFT[1] - _SHIFT[0]) * size) * side)
    return jnp.where(happens, jnp.where(direction > 0.5, pixels, -pixels), 0.0)[:, None, None]


def _rotated(y: jax.Array, x: jax.Array, angle: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Rotates by up to _DEGREES, `angle` [B] from 0 to 1."""
    angle = jnp.deg2rad(_DEGREES * (2.0 * angle - 1.0))[:, None, None]
    cos, sin, y, x = jnp.cos(angle), jnp.sin(angle), y - (height - 1) / 2, x - (width - 1) / 2
    below, right = sin * x + cos * y, cos * x - sin * y
    return reflect(below + (height - 1) / 2, height), reflect(right + (width - 1) / 2, width)


def _zoomed(position: jax.Array, place: jax.Array, side: int) -> jax.Array:
    """A window of the picture at twice its size."""
    start = jnp.floor(place * (side + 1))[:, None, None]
    return jnp.clip((position + start + 0.5) / 2 - 0.5, 0.0, side - 1.0)
