"""Pictures through Pillow: whatever the file holds becomes upright 8-bit sRGB."""

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from siv_jax.data.decoding import check_pixels, decoding, one_line
from siv_jax.data.deep import FULL, GRAY_MODES, deep_samples, extremes, shared_range, to_8_bits
from siv_jax.data.notes import Notes
from siv_jax.data.source import Still
from siv_jax.errors import UserError

# What Pillow may try, of what it was built with. It knows more, among them EPS, which it hands to another program.
# TIFF has a reader of its own here; JPEG covers MPO, the pairs of pictures that some cameras write.
_FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "WEBP")
_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")

File = Path | io.BytesIO


@contextlib.contextmanager
def opened(file: File, name: str, more_formats: tuple[str, ...] = ()) -> Iterator[Image.Image | None]:
    """The opened, not yet decoded image; None where no picture format fits, nor any of `more_formats`.

    Use it under `decoding`.

    Raises UserError: more pixels than are read.
    """
    Image.init()
    # Pillow's own limit is lower than ours.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(file, formats=[known for known in (*_FORMATS, *more_formats) if known in Image.OPEN])
    except UnidentifiedImageError:
        image = None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if image is None:
        yield None
        return
    with image:
        check_pixels(name, image.height, image.width)
        yield image


def count_frames(path: Path, name: str, notes: Notes) -> int:
    """Frames of the picture file at `path`, as `frames_in`; 0 where it is no picture.

    Raises UserError: damaged or too large.
    """
    with decoding(name, notes), opened(path, name) as image:
        return frames_in(image) if image else 0


def frames_in(image: Image.Image) -> int:
    """Frames of an animation; 1 for a still. Further pictures in a phone's JPEG (depth maps) do not count."""
    return getattr(image, "n_frames", 1) if image.format in _ANIMATED_FORMATS else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of a picture once it is upright."""
    turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return (image.width, image.height) if turned else (image.height, image.width)


def picture_stills(files: list[tuple[str, File]], background: tuple[int, int, int], notes: Notes) -> list[Still]:
    """One still per picture file, looked at but not decoded, except that deep ones are read for their range.

    All deep pictures (16-bit gray or colour, 32-bit or float gray) together are brought to 8 bits in one way, see
    `deep.shared_range`: a clip of them must not flicker.

    Raises UserError: a file that is no picture, is damaged, or too large.
    """
    sizes, found = [], []
    for name, file in files:
        with decoding(name, notes), opened(file, name) as image:
            if image is None:
                raise UserError(f"{name} is not a picture that can be read: it is damaged or of another kind")
            samples = deep_samples(image, file)
            found += [] if samples is None else extremes(samples, name)
            sizes.append(upright_size(image))
            if frames_in(image) > 1:
                notes.add(name, "animated, only its first frame is used")
    deep = shared_range(found) if found else FULL
    if deep != FULL:
        notes.add(files[0][0], f"values {deep[0]:g} to {deep[1]:g} of more than 8 bits become 0 to 255")
    return [
        Still(name, "picture", "uint8", size, 3, functools.partial(_load, file, name, background, deep))
        for (name, file), size in zip(files, sizes, strict=True)
    ]


def to_rgb(
    image: Image.Image,
    name: str,
    background: tuple[int, int, int],
    notes: Notes,
    pixels: Image.Image | None = None,
) -> Image.Image:
    """Upright RGB of one decoded frame of a file.

    Embedded colour profiles are converted to sRGB, transparent parts are laid over `background`. `pixels` stand in
    for those of a deep picture, brought to 8 bits.
    """
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    profile = None if image.mode in GRAY_MODES else image.info.get("icc_profile")
    image = pixels or image
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
    rgb = over_background(rgb, name, background, notes)
    return turned_upright(rgb, orientation)


def turned_upright(image: Image.Image, orientation: int) -> Image.Image:
    """`image`, changed in place, as an EXIF orientation says."""
    if orientation in range(2, 9):
        # The rest of the picture's EXIF data is left out: Pillow stops where it is damaged.
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image.info = {"exif": exif.tobytes()}
        ImageOps.exif_transpose(image, in_place=True)
    return image


def over_background(image: Image.Image, name: str, background: tuple[int, int, int], notes: Notes) -> Image.Image:
    """RGB of an RGB or RGBA image, its transparent parts laid over `background`."""
    if image.mode == "RGB":
        return image
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] < 255:
        image = Image.composite(image.convert("RGB"), Image.new("RGB", image.size, background), alpha)
        notes.add(name, f"transparent parts are laid over data.background {background}")
    return image.convert("RGB")


def _load(
    file: File, name: str, background: tuple[int, int, int], deep: tuple[float, float], notes: Notes
) -> np.ndarray:
    with decoding(name, notes), opened(file, name) as image:
        # Pillow brings 16-bit colour that fills its range to 8 bits well, but for JPEG 2000, whose white becomes black.
        by_pillow = deep == FULL and image.mode not in GRAY_MODES and image.format != "JPEG2000"
        samples = None if by_pillow else deep_samples(image, file)
        pixels = None if samples is None else to_8_bits(samples, *deep)
        return np.asarray(to_rgb(image, name, background, notes, pixels))


def _to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: Notes) -> Image.Image:
    if profile:
        try:
            return ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            notes.add(name, f"its colour profile cannot be used and is left out ({one_line(error)})")
    return image.convert("RGB")
