"""How much of a picture is a photo's own, moved as a whole: copies of the photo, which no new scene should be."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from siv_jax.patches import border, match
from siv_jax.patches.compiled import compiled

_AROUND = 1  # pixels by which patches may be moved differently and still count as moved alike

Array = jax.Array


def alike(pictures: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The largest share of a picture's patches whose nearest patch of the photo is moved by the same, to a pixel.

    Args:
      pictures: float32 [n, h, w, channels] in [-1, 1].
      photo: float32 [h', w', channels] in [-1, 1], about as large.

    Returns:
      float32 [n]: 1 for the photo itself, shifted or not; about 0.2 to 0.5 for other scenes of 32 pixels.
    """
    framed = [border.framed((np.asarray(picture, np.float32) + 1) / 2) for picture in (photo[None], pictures)]
    return np.asarray(_alike(*framed))


@compiled()
def _alike(photo: Array, pictures: Array) -> Array:
    keys = match.patches(photo)

    def of_picture(picture: Array) -> Array:
        # So large an alpha asks for the nearest patch and does not care which others are used.
        field, _ = match.exact(match.patches(picture[None])[0], keys, jnp.float32(1e6))
        (height, width), (rows, columns) = field.shape[:2], keys.shape[1:3]
        down = field[..., 1] - jnp.arange(height, dtype=jnp.int32)[:, None] + height
        right = field[..., 2] - jnp.arange(width, dtype=jnp.int32) + width
        moves = jnp.zeros((height + rows + 1, width + columns + 1), jnp.float32).at[down, right].add(1.0)
        side = 2 * _AROUND + 1
        near = lax.reduce_window(moves, jnp.float32(0), lax.add, (side, side), (1, 1), "SAME")
        return near.max() / (height * width)

    return lax.map(of_picture, pictures)
