"""Soft edges of a mask."""

import numpy as np
from scipy import ndimage

_TRUNCATE = 4.0  # the kernel of the blur ends after so many sigmas


def feathered(mask: np.ndarray, radius: int, sigma: float = 5.0) -> np.ndarray:
    """A mask that fades out around what it marks.

    It is dilated by a disk, blurred by a Gaussian with repeated borders, and stretched to [0, 1]. A mask that marks
    nothing, or everything once it is dilated, has no edge to soften: it stays 0 or 1 throughout.

    Args:
      mask: [H, W] of bool or whole numbers; everything but 0 is marked.
      radius: of the disk, in pixels; as run 7 to harmonize and 20 to edit.
      sigma: of the Gaussian, in pixels.

    Returns:
      float32 [H, W] in [0, 1].
    """
    marked = np.asarray(mask) != 0
    if not marked.any():
        return np.zeros(marked.shape, np.float32)
    dilated = ndimage.distance_transform_edt(~marked) <= radius
    if dilated.all():
        return np.ones(marked.shape, np.float32)
    soft = ndimage.gaussian_filter(dilated.astype(np.float64), sigma, mode="nearest", truncate=_TRUNCATE)
    return ((soft - soft.min()) / (soft.max() - soft.min())).astype(np.float32)
