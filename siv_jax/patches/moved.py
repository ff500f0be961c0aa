"""How much of a picture is a photo's own, moved as a whole: copies of the photo, which no new scene should be."""

import numpy as np
from scipy import ndimage

_AROUND = 1  # pixels by which patches may be moved differently and still count as moved alike


def share(matches: np.ndarray) -> float:
    """The largest share of a picture's patches that are moved by the same, to a pixel.

    Args:
      matches: int32 [h, w, 3], frame, row and column that each pixel takes of a photo as large, as of
        Renderer.with_matches.

    Returns:
      1 for the photo itself, shifted or not; about 0.2 to 0.6 for other scenes of 40 pixels.
    """
    height, width = matches.shape[:2]
    down = matches[..., 1] - np.arange(height)[:, None] + height
    right = matches[..., 2] - np.arange(width) + width
    moves = np.zeros((2 * height, 2 * width))
    np.add.at(moves, (down, right), 1)
    side = 2 * _AROUND + 1
    near = ndimage.convolve(moves, np.ones((side, side)), mode="constant")
    return float(near.max()) / (height * width)
