"""What lies outside a picture, so that a patch at a border prefers a patch at the same border of the photo.

A picture is framed by three pixels that repeat its edge, and gets one more channel, 0 inside and `OUTSIDE` outside.
Every pixel then is the centre of a patch and lies in 49. Without the frame a corner lies in one patch only, and with a
small alpha, where every patch of the photo wants to be used, fragments of objects were pasted there.
"""

import jax
import numpy as np

from siv_jax.patches.pyramid import PATCH

Array = jax.Array | np.ndarray

FRAME = PATCH // 2
OUTSIDE = 0.5
"""By measurement: 0 leaves fragments at the borders, and a large value binds every border to the photo's own."""

_SIDES = ((0, 0), (FRAME, FRAME), (FRAME, FRAME), (0, 0))


def framed(pictures: Array) -> Array:
    """[n, h, w, c] -> [n, h + 6, w + 6, c + 1], in numpy or JAX as the pictures are."""
    xp = pictures.__array_namespace__()
    inside = xp.zeros((*pictures.shape[:3], 1), pictures.dtype)
    outside = xp.pad(inside, _SIDES, constant_values=OUTSIDE)
    return xp.concatenate([xp.pad(pictures, _SIDES, mode="edge"), outside], axis=-1)


def unframed(picture: Array) -> Array:
    """[h + 6, w + 6, c + 1] -> [h, w, c]."""
    return picture[FRAME:-FRAME, FRAME:-FRAME, :-1]
