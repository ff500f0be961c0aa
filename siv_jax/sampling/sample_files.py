"""Samples as files: pictures in the input's own type, a contact sheet, arrays, and walks between latents."""

from pathlib import Path

import numpy as np

from siv_jax.data.pixel_format import PixelFormat
from siv_jax.sampling import image_files as pictures
from siv_jax.workdir.layout import write_atomically

SHEET = "contact_sheet.png"
# Most pictures on one contact sheet.
_ON_SHEET = 100


def write_samples(
    folder: Path, images: np.ndarray, pixel_format: PixelFormat, file_format: str, first: int = 0
) -> Path:
    """Writes images float32 [n, H, W, C] in [-1, 1] and a contact sheet.

    Args:
      folder: made if it does not exist; files of other names in it stay.
      images: at least one.
      pixel_format: of the training input: samples are written as it came in (PNG, .npy or TIFF).
      file_format: "png" writes a file per sample; "npy" one float32 array, samples.npy, as it is.
      first: number of the first sample in the file names.

    Returns:
      The contact sheet's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if file_format == "npy":
        write_atomically(folder / "samples.npy", lambda file: np.save(file, images))
    else:
        native = pixel_format.to_source(images)
        for i, sample in enumerate(native, start=first):
            _write_native(folder, f"sample_{i:05d}", sample, pixel_format)
    sheet = folder / SHEET
    pictures.save_png(sheet, pictures.grid(pictures.to_uint8(images[:_ON_SHEET])))
    return sheet


def _write_native(folder: Path, name: str, sample: np.ndarray, pixel_format: PixelFormat) -> None:
    if pixel_format.kind == "picture":
        pictures.save_png(folder / f"{name}.png", sample)
    elif pixel_format.kind == "npy":
        write_atomically(folder / f"{name}.npy", lambda file: np.save(file, sample))
    else:
        import tifffile

        options = {"photometric": "minisblack"}
        if sample.shape[-1] == 1:
            sample = sample[..., 0]
        else:
            options["planarconfig"] = "contig"
        write_atomically(folder / f"{name}.tif", lambda file: tifffile.imwrite(file, sample, **options))


def walk(anchors: np.ndarray, frames_between: int) -> np.ndarray:
    """Latents along a closed walk through `anchors` [k, d], k >= 2: float32 [k * frames_between, d].

    Great-circle steps between neighbours: points on straight lines between normal latents are shorter than
    any that the generator was trained on.
    """
    points = []
    for start, end in zip(anchors, np.roll(anchors, -1, axis=0), strict=True):
        cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        for share in np.arange(frames_between) / frames_between:
            if np.sin(angle) < 1e-4:  # equal or opposite latents: no great circle is theirs
                points.append((1 - share) * start + share * end)
            else:
                weights = np.sin((1 - share) * angle), np.sin(share * angle)
                points.append((weights[0] * start + weights[1] * end) / np.sin(angle))
    return np.asarray(points, np.float32)


def write_animation(folder: Path, images: np.ndarray, frames_per_second: int) -> list[Path]:
    """Writes float32 images [n, H, W, C] in [-1, 1] as interpolation.gif and interpolation.mp4; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = pictures.viewable(pictures.to_uint8(images))
    gif, mp4 = folder / "interpolation.gif", folder / "interpolation.mp4"
    pictures.save_gif(gif, frames, frames_per_second)
    pictures.save_mp4(mp4, frames, frames_per_second)
    return [gif, mp4]
