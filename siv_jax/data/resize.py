"""Frames brought to another size."""

import numpy as np
from PIL import Image


def limited(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) scaled down, where need be, to at most `longest` pixels on the longer side."""
    shrink = min(1.0, longest / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def resize(
    frame: np.ndarray, height: int, width: int, how: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """`frame` [H,W,C], uint8 or float32, as [height,width,C] of the same type.

    Bilinear, or `how`, with antialiasing, in one step (as run).
    """
    if frame.shape[:2] == (height, width):
        return frame
    if frame.dtype == np.uint8 and frame.shape[2] == 3:
        return np.asarray(Image.fromarray(frame).resize((width, height), how))
    bands = [Image.fromarray(np.ascontiguousarray(frame[:, :, band])) for band in range(frame.shape[2])]
    return np.stack([np.asarray(band.resize((width, height), how)) for band in bands], axis=2)
