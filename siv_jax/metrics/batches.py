"""Running a compiled function over many pictures."""

from collections.abc import Callable

import jax
import numpy as np

MOST = 16  # pictures in a batch


def in_batches(function: Callable, images: np.ndarray, pixels: int):
    """Yields `function` of batches of `images` [N, H, W, C] of about `pixels` pixels, as numpy arrays.

    The last batch is filled up with copies, so that one compiled program serves all, and cut afterwards.
    """
    height, width = images.shape[1:3]
    size = min(max(1, pixels // (height * width)), MOST)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        yield jax.tree.map(lambda array, count=len(batch): np.asarray(array)[:count], function(filled))
