"""Running a compiled function over many pictures."""

from collections.abc import Callable

import jax
import numpy as np


def in_batches(function: Callable, images: np.ndarray, size: int):
    """Yields `function` of each `size` pictures of `images` [N, H, W, C], as numpy arrays.

    The last batch is filled up with copies, so that one compiled program serves all, and cut afterwards.
    """
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        yield jax.tree.map(lambda array, count=len(batch): np.asarray(array)[:count], function(filled))
