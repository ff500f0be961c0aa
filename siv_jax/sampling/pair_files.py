"""Samples as files in their input's own type, and the masks of samples that have some beside them."""

from pathlib import Path

import numpy as np

from siv_jax.data.masks import MaskFormat
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.tiffs import write_tiff
from siv_jax.sampling import pictures
from siv_jax.workdir.layout import write_atomically

MASK = "mask_"  # how the files of masks begin
_SUFFIXES = {"picture": "png", "npy": "npy", "tiff": "tif"}


class PairFiles:
    """sample_NUMBER as its input came in and, of samples with masks, mask_NUMBER.png like the input's mask."""

    def __init__(self, folder: Path, pixel_format: PixelFormat, mask_format: MaskFormat | None = None):
        """Writes nothing. `mask_format`: None for samples without masks."""
        self.folder, self.pixel_format, self.mask_format = folder, pixel_format, mask_format

    def names(self, count: int) -> list[str]:
        """Of all files that `count` samples may leave, relative to the folder."""
        suffix = suffix_of(self.pixel_format)
        return [*(f"sample_{number:05d}.{suffix}" for number in range(count)), *self.mask_names(count)]

    def mask_names(self, count: int) -> list[str]:
        """Of the masks alone; none without masks."""
        return [f"{MASK}{number:05d}.png" for number in range(count if self.mask_format else 0)]

    def write(self, number: int, sample: np.ndarray, mask: np.ndarray | None) -> None:
        """Writes a sample [H, W, C], of `PixelFormat.to_source`, and its mask, integers [H, W] or None."""
        if mask is not None:
            self.write_mask(number, mask)
        write_native(self.folder / f"sample_{number:05d}.{suffix_of(self.pixel_format)}", sample, self.pixel_format)

    def write_mask(self, number: int, mask: np.ndarray) -> None:
        """Writes the mask of a sample, integers [H, W]."""
        path = self.folder / f"{MASK}{number:05d}.png"
        write_atomically(path, lambda file: self.mask_format.save(file, mask))

    def finish(self) -> None:
        """Is called after the last sample, also where the draw was interrupted."""


def suffix_of(pixel_format: PixelFormat) -> str:
    """Ending of the files that `write_native` writes, without a dot."""
    return _SUFFIXES[pixel_format.kind]


def write_native(path: Path, sample: np.ndarray, pixel_format: PixelFormat) -> None:
    """Writes one sample [H, W, C], of `pixel_format.to_source`, as its input came in: PNG, .npy or TIFF."""
    if pixel_format.kind == "picture":
        pictures.save_png(path, sample)
    elif pixel_format.kind == "npy":
        write_atomically(path, lambda file: np.save(file, sample))
    else:
        write_atomically(path, lambda file: write_tiff(file, sample, pixel_format))
