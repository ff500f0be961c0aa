"""Masks: a label for every pixel of a picture, as 8-bit gray or palette PNG."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.files import resolve
from siv_jax.data.folders import entries
from siv_jax.data.notes import Notes
from siv_jax.data.source import Source
from siv_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Masks:
    """labels: uint8 [N, H, W]. palette: RGB of the labels where the files have one."""

    labels: np.ndarray
    palette: bytes | None

    def save(self, path: Path, labels: np.ndarray) -> None:
        """Writes labels uint8 [h, w] as a PNG like those that were read."""
        image = Image.fromarray(labels)
        if self.palette is not None:
            image.putpalette(self.palette)
        image.save(path, format="PNG")


def read_masks(path: Path, source: Source) -> Masks:
    """The mask of a picture, or the folder of masks of a clip's frames in natural order, at the source's size.

    Raises UserError: nothing readable there, not a mask, or not as many or as large as the source's frames.
    """
    found, is_folder = resolve(str(path))
    files = [entry for entry in entries(found) if entry.is_file()] if is_folder else [found]
    if len(files) != source.num_frames:
        raise UserError(f"{one_line(path)} holds {len(files)} masks; {source.name} has {source.num_frames} frames")
    read = [_read(file, source.size) for file in files]
    return Masks(np.stack([labels for labels, _ in read]), read[0][1])


def _read(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, bytes | None]:
    name = one_line(path.name)
    with decoding(name, Notes()), Image.open(path) as image:
        if image.mode not in ("1", "L", "P"):
            raise UserError(f"{name} is a {image.mode} picture: a mask has one label a pixel, as 8-bit gray or palette")
        if (image.height, image.width) != size:
            raise UserError(
                f"{name} is {image.width}x{image.height}; the picture that it belongs to is {size[1]}x{size[0]}"
            )
        palette = bytes(image.getpalette()) if image.mode == "P" else None
        return np.asarray(image).astype(np.uint8), palette
