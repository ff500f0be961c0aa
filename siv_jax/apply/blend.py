"""A model's picture and the photo, blended by a feathered mask."""

import numpy as np

from siv_jax.apply.feather import feathered

# Pixels of the longer side for which the papers' radii are meant; larger pictures get larger ones in proportion.
_USUAL_SIDE = 250
_SIGMA = 5.0
RADII = {"harmonize": 7, "edit": 20}


def soft_mask(task: str, mask: np.ndarray) -> np.ndarray:
    """Mask bool [h, w] feathered for the task: float32 [h, w] in [0, 1].

    The radius is 7 pixels to harmonize and 20 to edit (as run), in pictures of up to 250 pixels.
    """
    scale = max(1.0, max(mask.shape) / _USUAL_SIDE)
    return feathered(mask, round(RADII[task] * scale), _SIGMA * scale)


def blended(photo: np.ndarray, made: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """(1 - soft) photo + soft made (as run): [h, w, C] for soft [h, w]; exactly the one or the other at 0 and 1."""
    share = soft[..., None]
    return np.where(share == 1, made, np.where(share == 0, photo, (1 - share) * photo + share * made))
