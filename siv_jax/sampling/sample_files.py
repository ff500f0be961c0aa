"""Samples as files: pictures in the input's own type, a contact sheet, arrays, and walks between samples."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.resize import limited, resize
from siv_jax.data.tiffs import write_tiff
from siv_jax.models.interface import Samples
from siv_jax.sampling import pictures
from siv_jax.workdir.layout import write_atomically, write_text

SHEET = "contact_sheet.png"
MASK = "mask_"  # how the files of masks begin
# Names of the files that a draw wrote, so that the next one into the same folder can replace them and nothing else.
_MANIFEST = ".samples.json"
# Most pictures on one contact sheet.
_ON_SHEET = 100
# Longer side of a picture on it, in pixels, at most.
_SHEET_SIDE = 400
_SUFFIXES = {"picture": "png", "npy": "npy", "tiff": "tif"}


def write_samples(
    folder: Path,
    batches: Iterable[Samples],
    count: int,
    pixel_format: PixelFormat,
    file_format: str = "png",
    save_mask: Callable[[Path, np.ndarray], None] | None = None,
) -> Path:
    """Writes samples as they come, and a contact sheet of the first of them.

    Samples that an earlier draw left in the folder are removed first; other files stay.

    Args:
      folder: made if it does not exist.
      batches: numpy arrays; one batch is in memory at a time.
      count: of all images, at least one.
      pixel_format: of the training input: samples are written as it came in (PNG, .npy or TIFF).
      file_format: "png" writes a file per sample; "npy" one float32 array, samples.npy, as it is.
      save_mask: writes one mask [H, W] under a path; for samples that have masks.

    Returns:
      The contact sheet's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    suffix = suffix_of(pixel_format)
    names = ["samples.npy"] if file_format == "npy" else [f"sample_{i:05d}.{suffix}" for i in range(count)]
    masks = [f"{MASK}{i:05d}.png" for i in range(count)] if save_mask else []
    write_text(folder / _MANIFEST, json.dumps([*names, *masks, SHEET]))
    on_sheet: list[np.ndarray] = []
    waiting = iter(masks)

    def images() -> Iterator[np.ndarray]:
        """Those of each batch, whose masks are written and whose first ones go on the sheet."""
        for batch in batches:
            for mask in batch.masks if save_mask else ():
                save_mask(folder / next(waiting), mask)
            shown = pictures.to_uint8(batch.images[: max(0, _ON_SHEET - len(on_sheet))])
            on_sheet.extend(resize(image, *limited(image.shape[:2], _SHEET_SIDE)) for image in shown)
            yield batch.images

    try:
        if file_format == "npy":
            _write_array(folder / names[0], images(), count)
        else:
            samples = (sample for batch in images() for sample in pixel_format.to_source(batch))
            for sample, name in zip(samples, names, strict=False):  # so that `batches` comes to its end
                write_native(folder / name, sample, pixel_format)
    finally:  # an interrupted draw keeps what is done
        if on_sheet:
            pictures.save_png(folder / SHEET, pictures.grid(np.stack(on_sheet)))
    return folder / SHEET


def write_animation(folder: Path, images: np.ndarray, frames_per_second: int) -> list[Path]:
    """Writes float32 images [n, H, W, C] in [-1, 1] as interpolation.gif and interpolation.mp4; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = pictures.viewable(pictures.to_uint8(images))
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
            hidden.replace(path)
        else:
            hidden.unlink(missing_ok=True)


def _write_header(file, shape: tuple[int, ...]) -> None:
    """The header of an .npy file, in which numpy leaves room for another length."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


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


def _remove_earlier(folder: Path) -> None:
    try:
        names = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name in names:
        (folder / Path(str(name)).name).unlink(missing_ok=True)
