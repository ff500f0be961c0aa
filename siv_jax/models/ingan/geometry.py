"""The geometric layer: a map brought to another size, and with shifts to another shape. It has no parameters.

Shifts (s0, s1) move the upper left corner of what is seen by s0 and the lower right one by s1, in halves of the width.
With s1 = -s0 a picture is sheared, with s1 = s0 it becomes a trapezoid; |s0 + s1| < 1, or it would fold over.
"""

import jax
import jax.numpy as jnp

from siv_jax.models.ingan import canvas
from siv_jax.models.ingan.canvas import Extent

Places = tuple[jax.Array, jax.Array]  # float32 rows and columns [H, W]


def matrix(shifts: jax.Array) -> jax.Array:
    """float32 [3, 3]: from output coordinates (x, y, 1) to input ones, each axis from -1 to 1; divide by the third.

    The map that takes (-1, -1) to (-1 + s0, -1), (1, 1) to (1 + s1, 1) and leaves (-1, 0) and (1, 0) where they are.
    """
    s0, s1 = shifts
    a, b, one, zero = (s0 + s1) / 2, (s1 - s0) / 2, jnp.float32(1), jnp.float32(0)
    return jnp.stack([one, b, a, zero, one, zero, a, -a, one]).reshape(3, 3)


def transformed(
    x: jax.Array, extent: Extent, canvas_size: tuple[int, int], wanted: Extent, shifts: jax.Array | None
) -> jax.Array:
    """The picture of `extent` in x [B, H, W, C] as one of the extent `wanted` on a canvas of `canvas_size`.

    Sampled bilinearly with the centres of the corner pixels in place. Shifts look past the sides, where x is mirrored.

    Args:
      shifts: float32 [2]; None for a plain change of size, which is faster.
    """
    if shifts is None:
        return canvas.resized(x, extent, canvas_size, wanted, corners=True)
    left, right = _margins(extent[1], shifts)
    rows, columns = _seen(canvas_size, wanted, extent, left, right, matrix(shifts))
    return _sampled(x, extent, (rows, columns), left, right)


def restored(x: jax.Array, extent: Extent, size: tuple[int, int], shifts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The way back: what `transformed` with these shifts made of a picture of `size` is brought to that size.

    Returns:
      The picture [B, *size, C], and float32 [1, *size, 1], 1 where the transform had not moved it out of sight.
    """
    width = size[1]
    left, right = _margins(width, shifts)
    y, x_there = _coordinates(size, size)
    margin, whole = left.astype(jnp.float32), (left + width + right - 1).astype(jnp.float32)
    x_there = 2 * (margin + (x_there + 1) / 2 * (width - 1)) / whole - 1
    # Of the matrix only its direction counts, since the third coordinate divides.
    back_x, back_y = _projected(_adjugate(matrix(shifts)), x_there, y)
    seen = (jnp.abs(back_x) <= 1 + 1e-6) & (jnp.abs(back_y) <= 1 + 1e-6)
    rows, columns = _pixels(back_y, extent[0]), _pixels(back_x, extent[1])
    still = jnp.int32(0)
    return _sampled(x, extent, (rows, columns), still, still), seen.astype(jnp.float32)[None, :, :, None]


def _margins(width: int | jax.Array, shifts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Columns that are mirrored on the left and on the right, int32 (as run)."""
    s0, s1 = shifts
    count = jnp.asarray(width, jnp.float32)
    left, right = jnp.abs(jnp.ceil(count * s0)), jnp.abs(jnp.ceil(-count * s1))
    return left.astype(jnp.int32), right.astype(jnp.int32)


def _seen(canvas_size, wanted: Extent, extent: Extent, left, right, by: jax.Array) -> Places:
    """Rows and columns of the input, its margins before and behind it, where the pixels of an output look."""
    y, x = _coordinates(canvas_size, wanted)
    x, y = _projected(by, x, y)
    return _pixels(y, extent[0]), _pixels(x, extent[1] + left + right) - left.astype(jnp.float32)


def _coordinates(canvas_size: tuple[int, int], extent: Extent) -> Places:
    """(y, x), each [H, W]: -1 to 1 from the first to the last row and column of the extent, no further beyond it."""
    ends = [jnp.maximum(jnp.asarray(side, jnp.float32) - 1, 1) for side in extent]
    axes = [
        jnp.minimum(2 * jnp.arange(there, dtype=jnp.float32) / end - 1, 1)
        for there, end in zip(canvas_size, ends, strict=True)
    ]
    return tuple(jnp.meshgrid(*axes, indexing="ij"))


def _projected(by: jax.Array, x: jax.Array, y: jax.Array) -> Places:
    """(x, y) after the projective map."""
    x, y, third = (row[0] * x + row[1] * y + row[2] for row in by)
    return x / third, y / third


def _adjugate(m: jax.Array) -> jax.Array:
    return jnp.stack([jnp.cross(m[1], m[2]), jnp.cross(m[2], m[0]), jnp.cross(m[0], m[1])], axis=1)


def _pixels(coordinate: jax.Array, side: int | jax.Array) -> jax.Array:
    """-1 to 1 as the number of a pixel, 0 to side - 1; what lies outside is brought to the border."""
    last = jnp.asarray(side, jnp.float32) - 1
    return jnp.clip((coordinate + 1) / 2 * last, 0, last)


def _sampled(x: jax.Array, extent: Extent, places: Places, left: jax.Array, right: jax.Array) -> jax.Array:
    """x [B, ., ., C] at `places`, bilinearly; columns -left to width - 1 + right are of the mirrored picture."""
    height, width = extent
    lows = [jnp.floor(place) for place in places]
    shares = [(place - low)[None, :, :, None] for place, low in zip(places, lows, strict=True)]
    low_row, low_column = (low.astype(jnp.int32) for low in lows)
    rows = [jnp.clip(low_row + i, 0, height - 1) for i in (0, 1)]
    columns = [_mirrored(jnp.minimum(low_column + i, width - 1 + right), width) for i in (0, 1)]
    upper, lower = (_mixed(x[:, row, columns[0]], x[:, row, columns[1]], shares[1]) for row in rows)
    return _mixed(upper, lower, shares[0])


def _mirrored(column: jax.Array, width: int | jax.Array) -> jax.Array:
    column = jnp.abs(column)
    return jnp.clip(jnp.minimum(column, 2 * (width - 1) - column), 0, width - 1)


def _mixed(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    return first + share * (second - first)
