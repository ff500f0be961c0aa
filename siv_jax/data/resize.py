"""Frames brought to the training resolution."""

import numpy as np
from PIL import Image


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """`frame` [H,W,C], uint8 or float32, as [height,width,C] of the same type.

    Bilinear with antialiasing, straight from the source's size (as run).
    """
    if frame.dtype == np.uint8 and frame.shape[2] == 3:
        return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
    bands = [Image.fromarray(np.ascontiguousarray(frame[:, :, band])) for band in range(frame.shape[2])]
    resized = [band.resize((width, height), Image.Resampling.BILINEAR) for band in bands]
    return np.stack([np.asarray(band) for band in resized], axis=2)
