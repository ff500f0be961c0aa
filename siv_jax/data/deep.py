"""Pictures with more than 8 bits a channel."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.errors import UserError

GRAY_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
FULL = (0.0, 65535.0)
# JPEG 2000: start of the codestream and its segment SIZ, in which byte 42 tells the bits of a sample.
_CODESTREAM = b"\xff\x4f\xff\x51"


def deep_samples(image: Image.Image, file: Path | io.BytesIO) -> np.ndarray | None:
    """[H,W] of deep gray, uint16 [H,W,C] of 16-bit colour or gray with alpha; None of a picture with 8 bits.

    Pillow opens 16-bit colour as if it had 8 bits, so it is decoded without Pillow here. `image` must not have been
    loaded yet: it then no longer tells how its samples are stored.
    """
    if image.mode in GRAY_MODES:
        return np.asarray(image)
    if image.format not in ("JPEG2000", "PNG", "PPM") or not image.tile:
        return None
    tile = image.tile[0]
    content = file.getvalue() if isinstance(file, io.BytesIO) else file.read_bytes()
    if image.format == "PNG" and str(tile.args).endswith(";16B"):
        import imagecodecs

        return imagecodecs.png_decode(content)
    if image.format == "PPM" and tile.codec_name == "ppm" and content.startswith(b"P6") and tile.args[-1] > 255:
        samples = np.frombuffer(content, ">u2", image.height * image.width * 3, tile.offset)
        return samples.reshape(image.height, image.width, 3).astype(np.uint16)
    start = content.find(_CODESTREAM) if image.format == "JPEG2000" else -1
    bits = (content[start + 42] & 127) + 1 if start >= 0 else 8
    if 8 < bits <= 16:
        import imagecodecs

        return imagecodecs.jpeg2k_decode(content).astype(np.uint16) << (16 - bits)
    return None


def extremes(samples: np.ndarray, name: str) -> tuple[float, float]:
    """The lowest and the highest of deep samples, alpha left out. Raises UserError: some are NaN or infinite."""
    colours = samples[:, :, : _colours(samples)] if samples.ndim == 3 else samples
    if not np.isfinite(colours).all():
        raise UserError(f"{name} holds NaN or infinite values: replace them first")
    return float(colours.min()), float(colours.max())


def shared_range(found: list[float]) -> tuple[float, float]:
    """The samples that become 0 and 255, for pictures with these extremes.

    16-bit samples that fill more than half of their type, or are all the same, keep their brightness; others are
    stretched from the smallest to the largest.
    """
    low, high = min(found), max(found)
    is_16_bit = low >= FULL[0] and high <= FULL[1]
    return FULL if is_16_bit and (low == high or 2 * (high - low) > FULL[1]) else (low, high)


def to_8_bits(samples: np.ndarray, low: float, high: float) -> Image.Image:
    """Deep samples as an image of mode L, LA, RGB or RGBA: `low` becomes 0 and `high` 255, alpha is only rounded."""
    result = np.empty(samples.shape, np.uint8)
    for row, values in zip(result, samples, strict=True):
        share = (values.astype(np.float64) - low) / max(high - low, 1e-30)
        if samples.ndim == 3:
            share[:, _colours(samples) :] = values[:, _colours(samples) :] / FULL[1]
        row[...] = np.rint(np.clip(share, 0.0, 1.0) * 255.0)
    return Image.fromarray(result)


def _colours(samples: np.ndarray) -> int:
    return 1 if samples.shape[2] < 3 else 3
