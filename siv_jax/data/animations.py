"""Animated GIF, WebP, APNG and AVIF through Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data.decoding import check_pixels, decoding, one_line
from siv_jax.data.notes import Notes
from siv_jax.data.orientation import upright_size
from siv_jax.data.pictures import frames_in, opened, orientation_of, to_rgb
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.resize import resize
from siv_jax.data.selection import choose, note_choice
from siv_jax.data.source import Reel
from siv_jax.errors import UserError

# What browsers take a frame without a duration to last, in milliseconds.
_DEFAULT_DURATION = 100


def animation_reel(path: Path, data: DataConfig, notes: Notes) -> Reel:
    """The frames of an animation between `data.start` and `data.end`.

    Raises:
      UserError: no frames in that time, or damaged.
    """
    name = one_line(path.name)
    with decoding(name, notes), opened(path, name) as image:
        # An APNG may begin with a picture for viewers that cannot animate it.
        first = 1 if getattr(image, "default_image", False) else 0
        numbers = range(first, frames_in(image))
        if data.start or data.end:
            numbers = _between(image, numbers, data)
        size = upright_size(image.height, image.width, orientation_of(image))
    if not len(numbers):
        raise UserError(f"{name} has no frames from data.start {data.start:g} s to data.end {data.end:g} s")
    chosen = [numbers[index] for index in choose(len(numbers), data)]
    note_choice(name, len(numbers), len(chosen), data, notes)

    def fill(out: np.ndarray, notes: Notes) -> None:
        with decoding(name, notes), opened(path, name) as image:
            for row, number in zip(out, chosen, strict=True):
                image.seek(number)
                check_pixels(name, image.height, image.width)
                row[...] = resize(np.asarray(to_rgb(image, name, data.background, notes)), *row.shape[:2])

    return Reel(name, len(numbers), len(chosen), size, 3, PICTURE, fill)


def _between(image: Image.Image, numbers: range, data: DataConfig) -> list[int]:
    kept, time = [], 0.0
    for number in numbers:
        if data.end and time >= data.end:
            break
        image.seek(number)
        image.load()
        if time >= data.start:
            kept.append(number)
        time += (image.info.get("duration") or _DEFAULT_DURATION) / 1000
    return kept
