"""Animated GIF, WebP, APNG and AVIF through Pillow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data.decoding import check_pixels, decoded, decoding
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import frames_in, opened, to_rgb, upright_size
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.selection import select
from siv_jax.data.source import Source
from siv_jax.errors import UserError

# What browsers take a frame without a duration to last, in milliseconds.
_DEFAULT_DURATION = 100


def animation_source(path: Path, name: str, data: DataConfig, notes: Notes) -> Source:
    """The frames of an animation between `data.start` and `data.end`.

    Raises UserError: no frames in that time, or damaged.
    """
    with decoding(name, notes), opened(path, name) as image:
        # An APNG may begin with a picture for viewers that cannot animate it.
        first = 1 if getattr(image, "default_image", False) else 0
        numbers = range(first, frames_in(image))
        if data.start or data.end:
            numbers = _between(image, numbers, data)
        size = upright_size(image)
    if not len(numbers):
        raise UserError(f"{name} has no frames from data.start {data.start:g} s to data.end {data.end:g} s")
    chosen = [numbers[index] for index in select(name, len(numbers), data, notes, timed=True)]

    def frames() -> Iterator[np.ndarray]:
        with opened(path, name) as image:
            for number in chosen:
                image.seek(number)
                check_pixels(name, image.height, image.width)
                yield np.asarray(to_rgb(image, name, data.background, notes))

    return Source(name, len(numbers), len(chosen), size, 3, PICTURE, lambda: decoded(name, notes, frames()), notes)


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
