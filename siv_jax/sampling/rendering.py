"""Rendered samples of a model: its rough pictures made sharp, at any size, from the source's own patches."""

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from siv_jax.data import PixelFormat, Source
from siv_jax.data.masks import nearest
from siv_jax.errors import UserError
from siv_jax.models.interface import Samples
from siv_jax.patches.render import DEFAULT_FIDELITY, Renderer, Settings, noise
from siv_jax.sampling import views
from siv_jax.sampling.drawer import Drawer

Size = tuple[int, int]  # height, width

# Longer side of the rough pictures that patch synthesis without a model starts from.
_SMALLEST_ROUGH = 32
_LARGEST = 16_384
_MOST_FIDELITY = 8


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What to render.

    size: (height, width).
    fidelity: how strongly every part of the photo must be used, 0 to 8, see Renderer.
    masks: uint8 [N, H, W] of the source's frames, which ride along; None: no masks.
    settings: of the renderer.
    scale: pixels of the pictures per pixel of the photo, at most 1; None: so that the photo fits in the pictures.
    """

    size: Size
    fidelity: float = DEFAULT_FIDELITY
    masks: np.ndarray | None = None
    settings: Settings = dataclasses.field(default_factory=Settings)
    scale: float | None = None

    def __post_init__(self):
        """Raises UserError: a fidelity out of its range."""
        if not 0 <= self.fidelity <= _MOST_FIDELITY:
            raise UserError(f"fidelity {self.fidelity:g} is not a number from 0 to {_MOST_FIDELITY}")


def parse_size(text: str, photo: Size) -> Size:
    """(height, width) that a text means for a photo of (height, width).

    Args:
      text: "photo", "WIDTHxHEIGHT" in pixels, a factor such as "2x", or factors of width and height, of which one has
        a point: "1.5x1.0".

    Raises:
      UserError: none of these, or too small or large.
    """
    factor = re.fullmatch(r"(\d+(?:\.\d+)?)x", text)
    factors = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", text) if "." in text else None
    sides = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if text == "photo":
        size = photo
    elif sides:
        size = int(sides[2]), int(sides[1])
    elif factor:
        size = tuple(round(side * float(factor[1])) for side in photo)
    elif factors:
        size = round(photo[0] * float(factors[2])), round(photo[1] * float(factors[1]))
    else:
        raise UserError(
            f"the size {text!r} is not photo, WIDTHxHEIGHT such as 1600x400, a factor such as 2x, or factors of width "
            "and height such as 1.5x1.0"
        )
    if not all(1 <= side <= _LARGEST for side in size):
        raise UserError(f"the size {text!r} is {size[1]}x{size[0]} pixels; sides from 1 to {_LARGEST} can be made")
    return size


def of_model(
    drawer: Drawer, weights: Any, pieces: Iterable[np.ndarray], source: Source, rendering: Rendering, parts: bool
) -> Iterator[Samples]:
    """Rendered samples, one after another, for noise in pieces [n, ...].

    `parts`: each shows a part of its own of what the network draws, see siv_jax.sampling.views.

    A size of another aspect stretches the composition, not the texture: patches keep the photo's scale. (Noise maps
    side by side, or passing into each other, were tried: blocks of sky were left where they met.)

    Raises:
      UserError: the source is too small to be rendered from.
    """
    renderer = _renderer(source, drawer.size, rendering)
    return (_made(renderer, rough[None], rendering) for rough in _rough(drawer, weights, pieces, parts))


def _rough(drawer: Drawer, weights: Any, pieces: Iterable[np.ndarray], parts: bool) -> Iterator[np.ndarray]:
    """What is rendered: images [h, w, C] of the noise, or the parts of them that are shown."""
    waiting: collections.deque[np.ndarray] = collections.deque()

    def noted() -> Iterator[np.ndarray]:
        for piece in pieces:
            waiting.extend(piece)
            yield piece

    for batch in drawer.batches(weights, noted()):
        for image in batch.images:
            latents = waiting.popleft()
            yield views.seen(image, latents) if parts else image


def of_picture(picture: Source, source: Source, rendering: Rendering) -> Iterator[Samples]:
    """Each frame of a rough picture rendered from the patches of `source`.

    Raises:
      UserError: they have different channels, or the source is too small to be rendered from.
    """
    if picture.channels != source.channels:
        raise UserError(
            f"{picture.name} has {picture.channels} channels and {source.name}, whose patches it is to be made of, "
            f"{source.channels}"
        )
    return of_arrays(as_float(picture.resized(*picture.size), picture.format), picture.size, source, rendering)


def of_arrays(rough: Iterable[np.ndarray], size: Size, source: Source, rendering: Rendering) -> Iterator[Samples]:
    """Each rough picture, float32 [*size, C] in [-1, 1], rendered from the patches of `source`.

    Raises:
      UserError: the source is too small to be rendered from.
    """
    renderer = _renderer(source, size, rendering)
    return (_made(renderer, image[None], rendering) for image in rough)


def of_noise(source: Source, seed: int, count: int, rendering: Rendering) -> Iterator[Samples]:
    """Patch synthesis without a model: samples 0 to `count` of `seed`.

    Raises:
      UserError: the source is too small to be rendered from.
    """
    shrink = _SMALLEST_ROUGH / max(source.size)
    rough = tuple(max(8, round(side * shrink)) for side in source.size)
    photos, renderer = _photos(source, _fitting(source, rough)), _renderer(source, rough, rendering)
    return (
        _made(renderer, noise(photos, rough, seed=seed, numbers=[number]), rendering) for number in range(count)
    )


def as_float(frames: np.ndarray, pixel_format: PixelFormat) -> np.ndarray:
    """float32 in [-1, 1] of frames as a Source gives them."""
    return pixel_format.from_source(frames) if frames.dtype == np.uint8 else frames


def _made(renderer: Renderer, rough: np.ndarray, rendering: Rendering) -> Samples:
    if rendering.masks is None:
        return Samples(renderer(rough))
    return Samples(*renderer.with_masks(rough))


def _renderer(source: Source, rough: Size, rendering: Rendering) -> Renderer:
    scale = rendering.scale or _fitting(source, rendering.size)
    photos, masks = _photos(source, scale), rendering.masks
    if masks is not None:
        masks = nearest(masks, *photos.shape[1:3])
    return Renderer(
        photos,
        rendering.size,
        rough_size=rough,
        fidelity=rendering.fidelity,
        scale=1.0 if rendering.scale else None,
        masks=masks,
        settings=rendering.settings,
    )


def _fitting(source: Source, size: Size) -> float:
    """The largest scale at which the source's frames fit in `size`."""
    return min(size[0] / source.size[0], size[1] / source.size[1])


def _photos(source: Source, scale: float) -> np.ndarray:
    """The source's frames float32 [N, H, W, C] at a scale, at their own size where it is more than 1."""
    height, width = (max(1, round(side * min(1.0, scale))) for side in source.size)
    return as_float(source.resized(height, width), source.format)
