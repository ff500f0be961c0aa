"""Which patch of the photo each patch of a picture takes.

A match is int32 [..., 3]: frame, row and column in the grid of the photo's patches. Of framed pictures (`border`) the
grid is that of their pixels.
Distances are means of squared differences, of values in [0, 1]. The completeness score of GPNN (Granot et al., CVPR
2022), d_ij / (alpha + min_l d_lj), makes a photo patch costly once another patch of the picture uses it: with a small
alpha every patch of the photo comes into use. It chooses among patches that are at most TOLERANCE times as far away as
the nearest one: without that limit, pieces of objects were pasted where nothing like them was.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from siv_jax.patches.pyramid import PATCH

TOLERANCE = 6.0

_CHUNK = 1 << 24
"""Distances held at once by the exact search: 64 MB."""

_STRIP = 64
"""Rows of a picture that are worked on at once, where the arrays behind a result are large."""

Array = jax.Array


def patches(pictures: Array) -> Array:
    """[n, h, w, c] -> every patch, [n, h - 6, w - 6, 49 c]."""
    size = tuple(side - PATCH + 1 for side in pictures.shape[1:3])

    def shifted(number: Array) -> Array:
        y, x = jnp.divmod(number, PATCH)
        return lax.dynamic_slice(pictures, (0, y, x, 0), (len(pictures), *size, pictures.shape[-1]))

    taken = lax.map(shifted, jnp.arange(PATCH**2, dtype=jnp.int32))
    return jnp.moveaxis(taken, 0, 3).reshape(len(pictures), *size, -1)


def exact(query: Array, photo: Array, alpha: Array) -> tuple[Array, Array]:
    """Best match of every patch among all, by matrix products over chunks of the query.

    Args:
      query: patches of the picture, [h, w, k].
      photo: patches of the photo, [n, h', w', k].
      alpha: of the completeness score, a scalar.

    Returns:
      Matches [h, w, 3] and their distances [h, w].
    """
    size, grid = query.shape[:2], photo.shape[:3]
    flat, keys = query.reshape(-1, query.shape[-1]), photo.reshape(-1, photo.shape[-1])
    rows = max(1, min(len(flat), _CHUNK // len(keys)))
    norms = jnp.sum(keys**2, axis=-1)

    def distances(chunk: Array) -> Array:
        products = jnp.matmul(chunk, keys.T, precision=lax.Precision.HIGHEST)
        return jnp.maximum(jnp.sum(chunk**2, axis=-1)[:, None] + norms - 2 * products, 0) / query.shape[-1]

    def best(d: Array, least: Array) -> tuple[Array, Array]:
        near = d <= TOLERANCE * d.min(axis=1, keepdims=True)
        index = jnp.argmin(jnp.where(near, d * (1 / (alpha + least)), jnp.inf), axis=1)
        return index.astype(jnp.int32), jnp.take_along_axis(d, index[:, None], axis=1)[:, 0]

    if rows == len(flat):
        d = distances(flat)
        index, d = best(d, d.min(axis=0))
    else:
        count = -(-len(flat) // rows)
        chunks = jnp.pad(flat, ((0, count * rows - len(flat)), (0, 0)), mode="edge").reshape(count, rows, -1)
        least, _ = lax.scan(
            lambda least, chunk: (jnp.minimum(least, distances(chunk).min(axis=0)), None),
            jnp.full(len(keys), jnp.inf, query.dtype),
            chunks,
        )
        index, d = lax.map(lambda chunk: best(distances(chunk), least), chunks)
        index, d = index.reshape(-1)[: len(flat)], d.reshape(-1)[: len(flat)]
    return jnp.stack(jnp.unravel_index(index, grid), axis=-1).reshape(*size, 3), d.reshape(size)


def carry(field: Array, weight: Array, size: tuple[int, int], grid: tuple[int, int]) -> tuple[Array, Array]:
    """Matches of a coarser level at the pixels of the next: each keeps its displacement, times the scale.

    Args:
      field: matches at the coarser level, [h, w, 3].
      weight: of these, [h, w].
      size: height and width of the picture at the finer level.
      grid: height and width of the photo at the finer level.

    Returns:
      Matches and weights at the finer level, [*size, 3] and `size`.
    """
    nearest = [_nearest(to, of) for to, of in zip(size, field.shape[:2], strict=True)]
    there = nearest[0][:, None], nearest[1]
    taken = field[there]
    moved = [taken[..., 0]]
    for axis, (to, of) in enumerate(zip(size, field.shape[:2], strict=True)):
        across = (-1, 1) if axis == 0 else (1, -1)
        shift = (taken[..., axis + 1] - nearest[axis].reshape(across)).astype(jnp.float32) * (to / of)
        place = jnp.arange(to, dtype=jnp.int32).reshape(across) + jnp.round(shift).astype(jnp.int32)
        moved.append(jnp.clip(place, 0, grid[axis] - 1))
    return jnp.stack(moved, axis=-1), weight[there]


def _nearest(to: int, of: int) -> Array:
    """Index among `of` coarse pixels of the one at the centre of each of `to` fine pixels."""
    centre = (jnp.arange(to, dtype=jnp.float32) + 0.5) * (of / to) - 0.5
    return jnp.clip(jnp.round(centre).astype(jnp.int32), 0, of - 1)


def similar(photo: Array, count: int, apart: int) -> Array:
    """The `count` most similar patches of the same frame, at least `apart` pixels away: int32 [n, h, w, count, 2]."""
    height, width, size = photo.shape[1:]
    rows = max(1, min(height * width, _CHUNK // (height * width)))
    total = -(-height * width // rows)
    place = jnp.arange(height * width, dtype=jnp.int32)

    def of_frame(keys: Array) -> Array:
        keys = keys.reshape(-1, size).astype(jnp.float32)
        norms = jnp.sum(keys**2, axis=-1)

        def of_chunk(number: Array) -> Array:
            at = jnp.minimum(number * rows + jnp.arange(rows, dtype=jnp.int32), height * width - 1)
            products = jnp.matmul(keys[at], keys.T, precision=lax.Precision.HIGHEST)
            d, found = norms - 2 * products, []
            for _ in range(count):
                d = jnp.where(_near(at[:, None], place, width, apart), jnp.inf, d)
                at = jnp.argmin(d, axis=1).astype(jnp.int32)
                found.append(at)
            return jnp.stack(found, axis=-1)

        found = lax.map(of_chunk, jnp.arange(total, dtype=jnp.int32)).reshape(-1, count)[: height * width]
        return jnp.stack(jnp.divmod(found, width), axis=-1).reshape(height, width, count, 2)

    return lax.map(of_frame, photo)


def _near(a: Array, b: Array, width: int, apart: int) -> Array:
    rows, columns = jnp.abs(a // width - b // width), jnp.abs(a % width - b % width)
    return jnp.maximum(rows, columns) < apart


def basis(photo: Array, count: int) -> Array:
    """Principal axes of the patches of [n, h, w, c]: [49 c, count], with which distances are nearly kept."""
    flat = patches(photo).reshape(-1, PATCH**2 * photo.shape[-1])
    flat = flat - flat.mean(axis=0)
    _, axes = jnp.linalg.eigh(jnp.matmul(flat.T, flat, precision=lax.Precision.HIGHEST))
    return axes[:, ::-1][:, :count]


def describe(pictures: Array, axes: Array) -> Array:
    """Every patch of [n, h, w, c] in the axes of `basis`, float16 [n, h - 6, w - 6, count].

    Half precision, because the descriptions of a large photo are most of its rendering's memory.
    """
    height, channels = pictures.shape[1], pictures.shape[3]
    kernel = axes.reshape(PATCH, PATCH, channels, -1)

    def of_strip(start: Array, rows: int) -> Array:
        taken = lax.dynamic_slice_in_dim(pictures, start, rows + PATCH - 1, axis=1)
        found = lax.conv_general_dilated(
            taken, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST
        )
        return found.astype(jnp.float16).swapaxes(0, 1)

    return by_strips(of_strip, height - PATCH + 1).swapaxes(0, 1)


def by_strips(function: Callable[[Array, int], Any], height: int) -> Any:
    """Arrays [height, ...] made by strips of rows, which bound the memory of what they are made from.

    Args:
      function: from the first row of a strip and the number of its rows to its part of the arrays.
    """
    rows = min(height, _STRIP)
    part = jax.eval_shape(lambda: function(jnp.int32(0), rows))
    made = jax.tree.map(lambda leaf: jnp.zeros((height, *leaf.shape[1:]), leaf.dtype), part)

    def add(number: Array, made: Any) -> Any:
        start = jnp.minimum(number * rows, height - rows)  # the last strip makes some rows once more
        part = function(start, rows)
        return jax.tree.map(lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, start, axis=0), made, part)

    return lax.fori_loop(jnp.int32(0), jnp.int32(-(-height // rows)), add, made)


_AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))
_SHIFTS = np.asarray((*_AROUND, *_AROUND), np.int32)
"""Of a candidate from a neighbour's match, the neighbour being on the other side; then of the present match."""


def refine(query: Array, photo: Array, field: Array, table: Array, alpha: Array, elements: int) -> tuple[Array, Array]:
    """A better match of every patch among those that its present match and its neighbours' suggest.

    Candidates are the matches of the four neighbours shifted back (coherence, Ashikhmin 2001), the present match
    shifted by one pixel, and the patches most similar to the present match (k-coherence, Tong et al. 2002). The least
    distance of a patch of the photo that nobody has is taken to be the candidate's own.

    Args:
      query: patches of the picture in the axes of `basis`, [h, w, k].
      photo: patches of the photo, [n, h', w', k].
      field: present matches, [h, w, 3].
      table: of `similar`, at a level that may be coarser.
      alpha: of the completeness score.
      elements: number of values in a patch.

    Returns:
      Matches [h, w, 3] and their distances [h, w].
    """
    grid, (height, width) = photo.shape[:3], field.shape[:2]
    flat = photo.reshape(-1, photo.shape[-1])
    edge = jnp.asarray(grid[1:], jnp.int32) - 1
    scale = jnp.asarray([grid[1] / table.shape[1], grid[2] / table.shape[2]], jnp.float32)
    coarse_edge = jnp.asarray(table.shape[1:3], jnp.int32) - 1

    def index(matches: Array) -> Array:
        return (matches[..., 0] * grid[1] + matches[..., 1]) * grid[2] + matches[..., 2]

    def strip_of(array: Array, start: Array, rows: int) -> Array:
        return lax.dynamic_slice_in_dim(array, start, rows, axis=0)

    def distance(described: Array, matches: Array) -> Array:
        difference = described.astype(jnp.float32) - flat[index(matches)].astype(jnp.float32)
        return jnp.sum(difference**2, axis=-1) / elements

    def moved(matches: Array, by: Array) -> Array:
        return jnp.concatenate([matches[..., :1], jnp.clip(matches[..., 1:] + by, 0, edge)], axis=-1)

    def alike(matches: Array) -> Array:
        """How far away the patches are that are most similar to the matches: [count, rows, w, 2]."""
        coarse = jnp.floor((matches[..., 1:].astype(jnp.float32) + 0.5) / scale).astype(jnp.int32)
        coarse = jnp.clip(coarse, 0, coarse_edge)
        found = jnp.moveaxis(table[matches[..., 0], coarse[..., 0], coarse[..., 1]], -2, 0)
        return jnp.round((found - coarse).astype(jnp.float32) * scale).astype(jnp.int32)

    def improved(start: Array, rows: int) -> tuple[Array, Array]:
        described, matches, d = (strip_of(array, start, rows) for array in (query, field, present))
        by = jnp.broadcast_to(_SHIFTS[:, None, None], (len(_SHIFTS), *matches.shape[:2], 2))
        by = jnp.concatenate([by, alike(matches)])
        neighbour = jnp.zeros((len(by), 2), jnp.int32).at[: len(_AROUND)].set(-_SHIFTS[: len(_AROUND)])

        def consider(best: tuple, candidate: tuple[Array, Array]) -> tuple[tuple, None]:
            (row, column), by = candidate
            there = jnp.clip(start + row + jnp.arange(rows, dtype=jnp.int32), 0, height - 1)
            across = jnp.clip(column + jnp.arange(width, dtype=jnp.int32), 0, width - 1)
            matches = moved(field[there[:, None], across], by)
            d = distance(described, matches)
            score = d / (alpha + jnp.minimum(least[index(matches)], d))
            better = score < best[2]
            return (
                jnp.where(better[..., None], matches, best[0]),
                jnp.where(better, d, best[1]),
                jnp.where(better, score, best[2]),
            ), None

        return lax.scan(consider, (matches, d, d / (alpha + least[index(matches)])), (neighbour, by))[0][:2]

    present = by_strips(lambda *strip: distance(strip_of(query, *strip), strip_of(field, *strip)), height)
    least = jnp.full(len(flat), jnp.inf, jnp.float32).at[index(field)].min(present)
    return by_strips(improved, height)
