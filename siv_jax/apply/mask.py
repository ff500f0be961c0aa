"""The mask of an edit: which pixels of a picture were changed."""

from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.files import resolve
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import opened
from siv_jax.errors import UserError

# Half of the way from black to white.
_BRIGHT = 128
_LOSSY = ("JPEG", "MPO")


def read_mask(path: Path) -> np.ndarray:
    """bool [h, w]: what the file marks.

    In a palette picture that is every label but 0, in an 8-bit gray one that is not a JPEG everything but 0, as the
    papers' code counts. In any other picture it is what is brighter than half in a channel (JPEG leaves no pixel
    exactly black), with transparent parts black; in an array what is greater than half of its range.

    Raises:
      UserError: nothing readable there, several frames, or nothing is marked.
    """
    labels = _labels(path)
    if labels is None:
        source = open_source(DataConfig(path=str(path), background=(0, 0, 0)))
        if source.num_frames != 1:
            raise UserError(f"{source.name} holds {source.num_frames} frames: a mask is one picture")
        (frame,) = source.frames()
        labels = (frame >= _BRIGHT if frame.dtype == np.uint8 else frame > 0.0).any(axis=-1)
    marked = labels != 0
    if not marked.any():
        raise UserError(f"{one_line(path)} marks nothing: paint white what was changed, and leave the rest black")
    return marked


def fitted(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] at `size` (height, width): marked where any part of the pixel was."""
    height, width = size
    if mask.shape == (height, width):
        return mask
    shares = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(shares) > 0


def _labels(path: Path) -> np.ndarray | None:
    """The values of a palette or lossless 8-bit gray picture; None of any other file."""
    found, is_folder = resolve(str(path))
    if is_folder:
        raise UserError(f"{one_line(path)} is a folder: a mask is one picture")
    name = one_line(found.name)
    with decoding(name, Notes()), opened(found, name) as image:
        if image is None or image.format in _LOSSY or image.mode not in ("1", "L", "P"):
            return None
        return np.asarray(image)
