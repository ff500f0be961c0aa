"""A mask painted on the page: each colour is a class, and what is not painted is the background."""

from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.errors import UserError
from siv_jax.web import canvas

COLOURS = ((200, 30, 30), (30, 140, 50), (30, 80, 200), (230, 160, 20), (140, 40, 180))
_SOLID = 128  # paint that is less opaque is the soft edge of a stroke


def photo(dropped: list[str] | None) -> np.ndarray:
    """The dropped photo to paint on: uint8 [H, W, 3], see canvas.shown.

    Raises UserError: not one file was dropped, it is no single picture, cannot be read or has other than 3 channels.
    """
    if not dropped or len(dropped) > 1:
        raise UserError("drop one photo first")
    source = open_source(DataConfig(path=str(dropped[0])))
    if source.num_frames > 1:
        raise UserError(f"{source.name} is a clip: labels can be painted on one photo")
    return canvas.shown(source)


def mask(drawn: dict | None) -> Image.Image | None:
    """What is painted, as a palette picture of the labels 0 (background) to the number of colours in use.

    Args:
      drawn: of Gradio's editor: `layers`, each RGBA uint8 [H, W, 4].

    Returns None where nothing is painted.
    """
    layers = drawn["layers"] if drawn else []
    if not any((layer[..., 3] >= _SOLID).any() for layer in layers):
        return None
    labels = np.zeros(layers[0].shape[:2], np.uint8)
    for layer in layers:
        away = np.square(layer[..., None, :3].astype(np.int32) - np.asarray(COLOURS)).sum(axis=-1)
        labels = np.where(layer[..., 3] >= _SOLID, away.argmin(axis=-1) + 1, labels).astype(np.uint8)
    used = [0, *(label for label in np.unique(labels) if label)]
    made = Image.fromarray(np.searchsorted(used, labels).astype(np.uint8))
    made.putpalette([0, 0, 0, *(value for label in used[1:] for value in COLOURS[label - 1])])
    return made


def write(drawn: dict | None, folder: Path) -> Path | None:
    """The painted mask as a file in `folder`; None where nothing is painted."""
    made = mask(drawn)
    if made is None:
        return None
    made.save(folder / "painted.png")
    return folder / "painted.png"
