"""Moves tiles of a picture by a little, for the training of editing (as run)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MOST = 5  # tiles
UNIFORMS = 1 + 7 * MOST
# Shares of a side, by the number of tiles, 1 to MOST: of tiles' sides, and of their shifts.
_SIDES = ((0.2, 0.5), (0.15, 0.3), (0.1, 0.2), (0.1, 0.15), (0.1, 0.15))
_SHIFTS = ((0.05, 0.15), *[(0.05, 0.1)] * (MOST - 1))


class Tiles(NamedTuple):
    """Tiles in the order in which they are laid down, later ones over earlier ones.

    count: int32 [], those of the MOST that are there.
    corner, size, shift: int32 [MOST, 2], rows and columns. forward: bool [MOST], the sign of both shifts.
    """

    count: jax.Array
    corner: jax.Array
    size: jax.Array
    shift: jax.Array
    forward: jax.Array


def limits(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest size, and shift, by the number of tiles: int [MOST, 2 (least, greatest), 2 axes]."""
    sizes, shifts = (
        np.array([[[int(share * side) for side in (height, width)] for share in pair] for pair in shares])
        for shares in (_SIDES, _SHIFTS)
    )
    return sizes, shifts


def draw(uniform: jax.Array, height: int, width: int) -> Tiles:
    """Tiles of a picture of height x width from uniform [UNIFORMS] in [0, 1)."""
    index = jnp.floor(uniform[0] * MOST).astype(jnp.int32)
    sizes, shifts = (jnp.asarray(of, jnp.int32)[index] for of in limits(height, width))
    corners = jnp.array([[0, 0], [height, width]], jnp.int32)
    corner, size, shift = (
        _between(uniform[1 + 2 * i * MOST : 1 + 2 * (i + 1) * MOST].reshape(MOST, 2), *of)
        for i, of in enumerate((corners, sizes, shifts))
    )
    return Tiles(index + 1, corner, size, shift, uniform[1 + 6 * MOST :] >= 0.5)


def augment(uniform: jax.Array, picture: jax.Array) -> jax.Array:
    """picture [H, W, C] with tiles from uniform [UNIFORMS] in [0, 1)."""
    return shuffle(picture, draw(uniform, *picture.shape[:2]))


def shuffle(picture: jax.Array, tiles: Tiles) -> jax.Array:
    """picture [H, W, C] with copies of its tiles laid over it; shifts end where the tile meets the border."""
    sides = jnp.array(picture.shape[:2], jnp.int32)
    ends = jnp.minimum(tiles.corner + tiles.size, sides)
    moved = jnp.where(
        tiles.forward[:, None],
        jnp.minimum(tiles.shift, sides - ends),
        -jnp.minimum(tiles.shift, tiles.corner),
    )
    rows, columns = jnp.arange(picture.shape[0]), jnp.arange(picture.shape[1])
    result = picture
    for i in range(MOST):
        start, end = tiles.corner[i] + moved[i], ends[i] + moved[i]
        inside = [(at >= start[axis]) & (at < end[axis]) for axis, at in enumerate((rows, columns))]
        tile = jnp.roll(picture, moved[i], (0, 1))
        here = inside[0][:, None, None] & inside[1][None, :, None] & (i < tiles.count)
        result = jnp.where(here, tile, result)
    return result


def _between(uniform: jax.Array, least: jax.Array, greatest: jax.Array) -> jax.Array:
    """Integers, both ends included."""
    span = (greatest - least + 1).astype(jnp.float32)
    return least + jnp.minimum(jnp.floor(uniform * span).astype(jnp.int32), greatest - least)
