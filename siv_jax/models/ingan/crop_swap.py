"""Crop swap: in what the generator sees of a crop two rectangles change places, now and then.

So it learns to make layouts natural that its picture does not have. The way back is then judged by the squared
difference, and not near the rectangles' edges, which no natural picture has.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.ingan.config import TransformConfig

_BAND = 5  # pixels on either side of an edge that are left out of the way back


@struct.dataclass
class Swap:
    """What was swapped in a batch of crops.

    counted: float32 [B, h, w, 1], 0 near the edges of swapped rectangles, else 1.
    swapped: bool [B].
    """

    counted: jax.Array
    swapped: jax.Array


def drawn(key: jax.Array, crops: jax.Array, config: TransformConfig) -> tuple[jax.Array, Swap]:
    """Crops [B, h, w, C], some of them with two rectangles exchanged; each draws for itself."""
    return jax.vmap(functools.partial(_drawn, config=config))(jax.random.split(key, len(crops)), crops)


def _drawn(key: jax.Array, crop: jax.Array, config: TransformConfig) -> tuple[jax.Array, Swap]:
    uniform = jax.random.uniform(key, (7,))
    swapped = uniform[0] < config.swap_probability
    sides = jnp.array(crop.shape[:2], jnp.int32)
    sizes = config.swap_min_side + (config.swap_max_side - config.swap_min_side) * uniform[1:3]
    sizes = jnp.minimum(sizes.astype(jnp.int32), sides - 1)  # as run rectangles that do not fit end the training
    room = sides - sizes  # as run the last place is left out
    places = jnp.floor(uniform[3:].reshape(2, 2) * room.astype(jnp.float32)).astype(jnp.int32)
    corners = jnp.minimum(places, room - 1)
    image = jnp.where(swapped, exchanged(crop, corners, sizes), crop)
    return image, Swap(jnp.where(swapped, away_from_edges(crop.shape[:2], corners, sizes), 1.0), swapped)


def exchanged(crop: jax.Array, corners: jax.Array, sizes: jax.Array) -> jax.Array:
    """crop [h, w, C] with two rectangles exchanged; where they overlap the second one shows.

    Args:
      corners: int32 [2, 2], row and column of the upper left of both.
      sizes: int32 [2], height and width.
    """
    places = jnp.stack(jnp.indices(crop.shape[:2]))
    in_first, in_second = (_inside(places, corner, sizes) for corner in corners)
    moved = (corners[1] - corners[0])[:, None, None]
    source = jnp.where(in_second, places - moved, jnp.where(in_first, places + moved, places))
    return crop[source[0], source[1]]


def away_from_edges(size: tuple[int, int], corners: jax.Array, sizes: jax.Array) -> jax.Array:
    """float32 [h, w, 1]: 0 within 5 pixels of an edge of the rectangles that `exchanged` takes, else 1.

    A band that would begin above or left of the crop is left out whole (as run).
    """
    places, near = jnp.stack(jnp.indices(size)), jnp.zeros(size, bool)
    for corner in corners:
        for axis in (0, 1):
            for edge in (corner[axis], corner[axis] + sizes[axis]):
                start = edge - _BAND
                band = _inside(places, corner.at[axis].set(start), sizes.at[axis].set(2 * _BAND))
                near |= band & (start >= 0)
    return (~near).astype(jnp.float32)[..., None]


def _inside(places: jax.Array, corner: jax.Array, sizes: jax.Array) -> jax.Array:
    """bool [h, w]: which of `places` [2, h, w] lie in a rectangle."""
    offset = places - corner[:, None, None]
    return jnp.all((offset >= 0) & (offset < sizes[:, None, None]), axis=0)
