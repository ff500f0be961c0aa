"""Differentiable image augmentation (DA): one affine warp per sample over all scales.

`draw` makes the maps, `warp` applies them; the same maps serve every scale of a sample, since they are written
in coordinates where x and y run from -1 to 1 between the picture's edges. A map takes an output position to
the input position whose colour it shows.
"""

import jax
import jax.numpy as jnp

UNIFORMS = 15  # random numbers per sample

_SHIFT = (0.05, 0.30)  # of a side
_CROP = (0.75, 1.0)  # of both sides
_DEGREES = 8.0
_ZOOM = 0.5  # the 2x zoom shows half of each side


def identity(batch: int) -> jax.Array:
    """Maps [batch, 2, 3] that change nothing."""
    return jnp.tile(jnp.eye(2, 3), (batch, 1, 1))


def draw(uniform: jax.Array, probability: float, height: int, width: int) -> jax.Array:
    """Random maps float32 [batch, 2, 3] for pictures of height:width, from `uniform` [batch, UNIFORMS] in [0, 1).

    Each of these happens with `probability`, independently per sample (as run, p = 0.7): a horizontal flip; a
    vertical and a horizontal translation by 5-30% with reflected content; either a zoom-in crop of 75-100% at
    a random place, or a rotation within 8 degrees with the zoom that hides its corners; and with half the
    probability a 2x zoom crop at a random place.
    """
    batch = uniform.shape[0]
    happens = uniform[:, :5] < jnp.array([1.0, 1.0, 1.0, 1.0, 0.5]) * probability
    rotates = uniform[:, 5] < 0.5
    sides = jnp.where(uniform[:, 6:8] < 0.5, -1.0, 1.0)
    one, zero = jnp.ones(batch), jnp.zeros(batch)

    flip = _affine(jnp.where(happens[:, 0], -1.0, 1.0), one, zero, zero)
    shift = 2.0 * sides * _between(_SHIFT, uniform[:, 8:10])  # the picture is 2 units wide
    translation = _affine(
        one, one, jnp.where(happens[:, 1], shift[:, 0], 0.0), jnp.where(happens[:, 2], shift[:, 1], 0.0)
    )
    scale = jnp.where(happens[:, 3] & ~rotates, _between(_CROP, uniform[:, 10]), 1.0)
    crop = _window(scale, uniform[:, 11:13])
    angle = jnp.where(happens[:, 3] & rotates, (2.0 * uniform[:, 10] - 1.0) * jnp.deg2rad(_DEGREES), 0.0)
    rotation = _rotation(angle, height, width)
    zoom = _window(jnp.where(happens[:, 4], _ZOOM, 1.0), uniform[:, 13:15])
    # The picture is flipped first and zoomed last, so an output position passes the zoom's map first.
    return (flip @ translation @ crop @ rotation @ zoom)[:, :2]


def warp(images: jax.Array, maps: jax.Array) -> jax.Array:
    """`images` [B, H, W, C] seen through `maps` [B, 2, 3], bilinear, reflecting at the borders.

    Exact for the identity and for flips; gradients flow to `images`.
    """
    height, width = images.shape[1:3]
    y = jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2
    x = jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2
    # In pixels around the centre: a whole number wherever the map keeps the pixel grid.
    source_x = maps[:, 0, 0, None, None] * x + maps[:, 0, 1, None, None] * (width / height) * y[:, None]
    source_y = maps[:, 1, 0, None, None] * (height / width) * x + maps[:, 1, 1, None, None] * y[:, None]
    source_x = source_x + maps[:, 0, 2, None, None] * (width / 2) + (width - 1) / 2
    source_y = source_y + maps[:, 1, 2, None, None] * (height / 2) + (height - 1) / 2
    return jax.vmap(bilinear)(images, reflect(source_y, height), reflect(source_x, width))


def _affine(scale_x, scale_y, shift_x, shift_y) -> jax.Array:
    zero, one = jnp.zeros_like(scale_x), jnp.ones_like(scale_x)
    rows = [[scale_x, zero, shift_x], [zero, scale_y, shift_y], [zero, zero, one]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _window(scale: jax.Array, place: jax.Array) -> jax.Array:
    """Shows a window of `scale` of each side, at `place` [B, 2] in 0..1 of the room that is left."""
    room = (1.0 - scale)[:, None] * (2.0 * place - 1.0)
    return _affine(scale, scale, room[:, 0], room[:, 1])


def _rotation(angle: jax.Array, height: int, width: int) -> jax.Array:
    """Rotates by `angle` radians and zooms until the rotated frame lies inside the picture."""
    cos, sin, steep = jnp.cos(angle), jnp.sin(angle), jnp.abs(jnp.sin(angle))
    zoom = jnp.minimum(width / (width * cos + height * steep), height / (width * steep + height * cos))
    zero, one = jnp.zeros_like(angle), jnp.ones_like(angle)
    rows = [
        [zoom * cos, -zoom * sin * (height / width), zero],
        [zoom * sin * (width / height), zoom * cos, zero],
        [zero, zero, one],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _between(bounds: tuple[float, float], uniform: jax.Array) -> jax.Array:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


def reflect(position: jax.Array, length: int) -> jax.Array:
    """Pixel positions folded back at the picture's edges, half a pixel beyond the outermost centres."""
    folded = jnp.mod(position + 0.5, 2.0 * length)
    folded = jnp.minimum(folded, 2.0 * length - folded) - 0.5
    return jnp.clip(folded, 0.0, length - 1.0)


def bilinear(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """image [H, W, C] at positions y, x [h, w] inside it -> [h, w, C]."""
    height, width, channels = image.shape
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = y - top, x - left
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    rows = jnp.stack([top, jnp.minimum(top + 1, height - 1)])
    columns = jnp.stack([left, jnp.minimum(left + 1, width - 1)])
    corners = (rows[:, None] * width + columns[None]).reshape(4, *y.shape)
    shares = (jnp.stack([1 - down, down])[:, None] * jnp.stack([1 - right, right])[None]).reshape(corners.shape)
    # One gather, and so one scatter in the gradient, for all four corners.
    colours = jnp.take(image.reshape(height * width, channels), corners, axis=0, mode="clip")
    return jnp.sum(colours * shares[..., None].astype(image.dtype), axis=0)
