"""Frames brought to another size."""

import numpy as np
from PIL import Image


def limited(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) scaled down, where need be, to at most `longest` pixels on the longer side."""
    shrink = min(1.0, longest / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """`frame` [H,W,C], uint8 or float32, as [height,width,C] of the same type.

    Bilinear with antialiasing, in one step (as run).
    """
    if frame.shape[:2] == (height, width):
        return frame
    if frame.dtype == np.uint8 and frame.shape[2] == 3:
        return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
    bands = [Image.fromarray(np.ascontiguousarray(frame[:, :, band])) for band in range(frame.shape[2])]
    return np.stack([np.asarray(band.resize((width, height), Image.Resampling.BILINEAR)) for band in bands], axis=2)
