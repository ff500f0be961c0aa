"""Pictures through Pillow: whatever the file holds becomes upright 8-bit sRGB."""

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from siv_jax.data.decoding import check_pixels, decoding, one_line
from siv_jax.data.notes import Notes
from siv_jax.data.orientation import EXIF_TAG, upright, upright_size
from siv_jax.data.source import Still
from siv_jax.errors import UserError

# What Pillow may try. It knows more, among them EPS, which it hands to another program. TIFF has a reader
# of its own here; JPEG covers MPO, the pairs of pictures that some cameras write.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "WEBP")
_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")
_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


@contextlib.contextmanager
def opened(file: Path | io.BytesIO, name: str) -> Iterator[Image.Image | None]:
    """The opened, not yet decoded image; None where no picture format fits.

    Use it under `decoding`.

    Raises:
      UserError: more pixels than are read.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        image = None
    except Image.DecompressionBombError:
        raise UserError(f"{name} has far too many pixels: scale it down first") from None
    if image is None:
        yield None
        return
    with image:
        check_pixels(name, image.height, image.width)
        yield image


def count_frames(path: Path, name: str, notes: Notes) -> int:
    """Frames of the picture file at `path`, as `frames_in`; 0 where it is no picture.

    Raises:
      UserError: damaged or too large.
    """
    with decoding(name, notes), opened(path, name) as image:
        return frames_in(image) if image else 0


def frames_in(image: Image.Image) -> int:
    """Frames of an animation; 1 for a still. Further pictures in a phone's JPEG (depth maps) do not count."""
    return getattr(image, "n_frames", 1) if image.format in _ANIMATED_FORMATS else 1


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none."""
    return image.getexif().get(EXIF_TAG, 1)


def picture_stills(
    files: list[tuple[str, Path | io.BytesIO]], background: tuple[int, int, int], notes: Notes
) -> list[Still]:
    """One still per picture file, looked at but not decoded, except that deep gray is read for its range.

    All deep (16-bit, 32-bit or float) gray pictures together share one range, from the smallest to the
    largest value, which becomes 0 to 255: a clip of them must not flicker.

    Raises:
      UserError: a file that is no picture, is damaged, or too large.
    """
    sizes, ranges = [], []
    for name, file in files:
        with decoding(name, notes), opened(file, name) as image:
            if image is None:
                raise UserError(f"{name} is not a picture that can be read: it is damaged or of another kind")
            sizes.append(upright_size(image.height, image.width, orientation_of(image)))
            if image.mode in _DEEP_MODES:
                ranges.append(_deep_range(image, name))
            if frames_in(image) > 1:
                notes.add(name, "animated, only its first frame is used")
    deep = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
    if deep:
        notes.add(files[0][0], f"gray values {deep[0]:g} to {deep[1]:g} become 0 to 255")
    return [
        Still(name, "picture", "uint8", size, 3, functools.partial(_load, file, name, background, deep))
        for (name, file), size in zip(files, sizes, strict=True)
    ]


def to_rgb(
    image: Image.Image,
    name: str,
    background: tuple[int, int, int],
    notes: Notes,
    deep: tuple[float, float] | None = None,
) -> Image.Image:
    """Upright RGB of one decoded frame of a file.

    `deep` are the values of a 16-bit, 32-bit or float gray picture that become 0 and 255. Embedded colour
    profiles are converted to sRGB, transparent parts are laid over `background`.
    """
    orientation = orientation_of(image)
    profile = image.info.get("icc_profile")
    if image.mode in _DEEP_MODES:
        image, profile = _from_deep(image, deep or (0.0, 65535.0)), None
    alpha = None
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        alpha = with_alpha.getchannel("A")
        image = image.convert("L") if image.mode in ("L", "LA") else with_alpha.convert("RGB")
    elif image.mode in ("1", "P"):
        image = image.convert("RGB")
    rgb = _to_srgb(image, profile, name, notes)
    if alpha is not None:
        rgb.putalpha(alpha)
    return upright(over_background(rgb, name, background, notes), orientation)


def over_background(image: Image.Image, name: str, background: tuple[int, int, int], notes: Notes) -> Image.Image:
    """RGB of an RGB or RGBA image, its transparent parts laid over `background`."""
    if image.mode == "RGB":
        return image
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] < 255:
        image = Image.composite(image.convert("RGB"), Image.new("RGB", image.size, background), alpha)
        notes.add(name, f"transparent parts are laid over data.background {background}")
    return image.convert("RGB")


def _load(file, name, background, deep, notes: Notes) -> np.ndarray:
    with decoding(name, notes), opened(file, name) as image:
        return np.asarray(to_rgb(image, name, background, notes, deep))


def _to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: Notes) -> Image.Image:
    if profile:
        try:
            return ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            notes.add(name, f"its colour profile cannot be used and is left out ({one_line(error)})")
    return image.convert("RGB")


def _deep_range(image: Image.Image, name: str) -> tuple[float, float]:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise UserError(f"{name} holds NaN or infinite values: replace them first")
    return float(values.min()), float(values.max())


def _from_deep(image: Image.Image, deep: tuple[float, float]) -> Image.Image:
    low, high = deep
    share = (np.asarray(image).astype(np.float64) - low) / max(high - low, 1e-30)
    return Image.fromarray(np.rint(np.clip(share, 0.0, 1.0) * 255.0).astype(np.uint8))
