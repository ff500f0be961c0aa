"""A pasted piece in the photo's own colours, without a network: its small patches become those of the photo.

Patches of 3x3 pixels bring the photo's colours and keep the piece's shapes, whose finest detail is then added again.
(Larger patches, or several rounds of matching as in rendering, dissolve whatever the photo does not have: a pasted tree
became the rock behind it.) The new colours are found at a small size; a larger picture takes the difference.
"""

import numpy as np
from scipy import ndimage

from siv_jax.apply import pictures
from siv_jax.data.resize import limited

_PATCH = 3
_VOTES = np.array([0.5, 1.0, 0.5])  # of a patch for its pixels, in each axis
_NEAREST = 8  # patches of the photo whose mean stands for one of the piece: single ones give blotches
_DETAIL = 0.7  # share of the piece's own detail that is added again: without it thin things fade
_SIDE = 256  # longer side at which colours are found, in pixels
_PATCHES = 20_000  # of the photo, chosen anew for each variant, so that variants differ
_CHUNK = 256


def recoloured(image: np.ndarray, mask: np.ndarray, photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`image` with what the mask marks in the photo's colours.

    Args:
      image, photo: float32 [h, w, C] in [-1, 1].
      mask: bool [h, w].

    Returns:
      float32 [h, w, C] in [-1, 1]; equal to `image` more than a few pixels (of the small size) away from the mask.
    """
    small = limited(image.shape[:2], _SIDE)
    before = pictures.fitted(image, small)
    marked = pictures.fitted(mask.astype(np.float32)[..., None], small)[..., 0] > 0
    change = _repainted(before, marked, pictures.fitted(photo, small), random) - before
    return np.clip(image + pictures.fitted(change, image.shape[:2]), -1.0, 1.0)


def _repainted(image: np.ndarray, marked: np.ndarray, photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    known = _patches(photo).reshape(-1, _PATCH**2 * photo.shape[-1])
    known = known[random.choice(len(known), min(_PATCHES, len(known)), replace=False)]
    wanted = _patches(image)[marked].reshape(-1, known.shape[-1])
    taken = _mean_of_nearest(wanted, known).reshape(-1, _PATCH, _PATCH, photo.shape[-1])
    margin, (rows, columns) = _PATCH // 2, np.nonzero(marked)
    total = np.zeros((image.shape[0] + 2 * margin, image.shape[1] + 2 * margin, image.shape[2] + 1))
    for y, x in np.ndindex(_PATCH, _PATCH):
        weight = _VOTES[y] * _VOTES[x]
        total[rows + y, columns + x, :-1] += weight * taken[:, y, x]
        total[rows + y, columns + x, -1] += weight
    votes = total[margin:-margin, margin:-margin, -1:]
    colours = total[margin:-margin, margin:-margin, :-1] / np.maximum(votes, 1e-9)
    detail = (image - ndimage.uniform_filter(image, (_PATCH, _PATCH, 1))).mean(axis=-1, keepdims=True)
    return np.where(votes > 0, colours + _DETAIL * detail, image).astype(np.float32)


def _mean_of_nearest(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[n, k] -> for each row the mean of its nearest rows of `known` [m, k]."""
    nearest, norms = min(_NEAREST, len(known)), np.sum(known**2, axis=1)
    found = np.empty_like(wanted)
    for i in range(0, len(wanted), _CHUNK):
        distances = norms - 2 * wanted[i : i + _CHUNK] @ known.T
        found[i : i + _CHUNK] = known[np.argpartition(distances, nearest - 1, axis=1)[:, :nearest]].mean(axis=1)
    return found


def _patches(image: np.ndarray) -> np.ndarray:
    """[h, w, C] -> the patch around every pixel, [h, w, 3, 3, C]; edges are repeated."""
    margin = _PATCH // 2
    framed = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(framed, (_PATCH, _PATCH), axis=(0, 1))
    return np.moveaxis(windows, 2, -1)
