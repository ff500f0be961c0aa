"""Samples as files: pictures in the input's own type, a contact sheet, arrays, and walks between samples."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from siv_jax import system
from siv_jax.data.masks import MaskFormat
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.resize import limited, resize
from siv_jax.models.interface import Samples
from siv_jax.sampling import label_files, manifest, pictures
from siv_jax.sampling.pair_files import PairFiles

SHEET = "contact_sheet.png"
_ARRAY = "samples.npy"
# Most pictures on one contact sheet.
_ON_SHEET = 100
# Longer side of a picture on it, in pixels, at most.
_SHEET_SIDE = 400


def write_samples(
    folder: Path,
    batches: Iterable[Samples],
    count: int,
    pixel_format: PixelFormat,
    file_format: str = "png",
    mask_format: MaskFormat | None = None,
    labels: str | None = None,
    beside: Iterable[str] = (),
    own: bool = False,
) -> Path:
    """Writes samples as they come, and a contact sheet of the first of them.

    Samples that an earlier draw left in the folder are removed first; other files stay.

    Args:
      folder: made if it does not exist.
      batches: numpy arrays; one batch is in memory at a time.
      count: of all images, at least one.
      pixel_format: of the training input: samples are written as it came in (PNG, .npy or TIFF).
      file_format: "png" writes a file per sample; "npy" one float32 array, samples.npy, as it is.
      mask_format: of the training input's masks, for samples that have masks: they are written as those came in, and
        stand beside the samples on the sheet.
      labels: "coco" or "voc" to write samples and masks in that form; see label_files.require, which comes before.
      beside: names of further files of the draw, which whoever makes the batches writes.
      own: see manifest.claim.

    Returns:
      The contact sheet's path.

    Raises:
      UserError: the folder holds samples that no draw wrote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = label_files.FORMATS[labels] if labels else PairFiles
    files, on_sheet = kind(folder, pixel_format, mask_format), []
    names = [_ARRAY, *files.mask_names(count)] if file_format == "npy" else files.names(count)
    manifest.claim(folder, [*names, SHEET, *beside], own)

    def seen() -> Iterator[Samples]:
        """The batches, whose first samples go on the sheet."""
        for batch in batches:
            room = max(0, _ON_SHEET - len(on_sheet))
            shown = pictures.to_uint8(batch.images[:room])
            if mask_format:
                shown = pictures.with_overlays(shown, batch.masks[:room], mask_format.colours())
            on_sheet.extend(resize(image, *limited(image.shape[:2], _SHEET_SIDE)) for image in shown)
            yield batch

    try:
        if file_format == "npy":
            _write_array(folder / _ARRAY, _without_masks(seen(), files), count)
        else:
            for number, (sample, mask) in enumerate(_pairs(seen(), files)):
                files.write(number, sample, mask)
    finally:  # an interrupted draw keeps what is done
        files.finish()
        if on_sheet:
            pictures.save_png(folder / SHEET, pictures.grid(np.stack(on_sheet)))
    return folder / SHEET


def singly(batches: Iterable[Samples]) -> Iterator[Samples]:
    """The samples of batches one by one."""
    for batch in batches:
        for number in range(len(batch.images)):
            yield Samples(*(part if part is None else part[number : number + 1] for part in batch))


def _pairs(batches: Iterable[Samples], files: PairFiles) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Samples in their input's own type, each with its mask, or None."""
    for batch in batches:
        masks = batch.masks if files.mask_format else itertools.repeat(None)
        yield from zip(files.pixel_format.to_source(batch.images), masks, strict=False)


def _without_masks(batches: Iterable[Samples], files: PairFiles) -> Iterator[np.ndarray]:
    """The images of the batches, whose masks are written."""
    numbers = itertools.count()
    for batch in batches:
        for mask in batch.masks if files.mask_format else ():
            files.write_mask(next(numbers), mask)
        yield batch.images


def write_animation(folder: Path, images: np.ndarray, frames_per_second: int) -> list[Path]:
    """Writes uint8 images [n, H, W, C] as interpolation.gif and interpolation.mp4; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = pictures.viewable(images)
    gif, mp4 = folder / "interpolation.gif", folder / "interpolation.mp4"
    pictures.save_gif(gif, frames, frames_per_second)
    pictures.save_mp4(mp4, frames, frames_per_second)
    return [gif, mp4]


def _write_array(path: Path, batches: Iterable[np.ndarray], count: int) -> None:
    """Writes `count` images or as many as come as one array."""
    hidden, shape, done = path.with_name(f".{path.name}"), (), 0
    try:
        # No memory-mapped file, whose writer a full disk would kill.
        with open(hidden, "wb") as file:
            for batch in batches:
                if not done:
                    shape = batch.shape[1:]
                    _write_header(file, (count, *shape))
                file.write(np.ascontiguousarray(batch, "<f4"))
                done += len(batch)
    finally:  # an interrupted draw keeps what is done
        if done:
            with open(hidden, "r+b") as file:
                _write_header(file, (done, *shape))
            system.replace(hidden, path)
        else:
            hidden.unlink(missing_ok=True)


def _write_header(file, shape: tuple[int, ...]) -> None:
    """The header of an .npy file, in which numpy leaves room for another length."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
