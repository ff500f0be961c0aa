"""The training picture at another size or aspect, its parts keeping theirs; still, or as frames from size to size."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from siv_jax.apply import from_patches, injected, pictures
from siv_jax.apply.made import Made
from siv_jax.apply.pictures import Size
from siv_jax.apply.request import Request
from siv_jax.data import Source
from siv_jax.errors import UserError
from siv_jax.sampling.rendering import parse_size
from siv_jax.sampling.trained_model import TrainedModel

_FRAMES_PER_SECOND = 12
# Parts of the photo keep their size as long as the photo has at most so many pixels for each of the picture's.
_MOST_PIXELS = 2.0
_SMALLEST = 8  # sides of what a network composes

# So many pictures of a size, with the photo's parts at a scale.
Draw = Callable[[Size, float, int], Iterator[np.ndarray]]


def retargeted(model: TrainedModel, request: Request) -> Made:
    """Pictures at `request.size`, or with `request.frames` an animation that ends there.

    A network that takes pictures and draws at any size composes the new one. If it learnt the photo at a smaller size,
    it composes at that scale, and the composition is then made of the photo's own patches. For other networks the photo
    is squeezed or stretched instead. Frames of an animation, where a network draws them, are not made of patches, which
    would flicker, but enlarged.

    Raises:
      UserError: a size that cannot be made.
    """
    source, seed = model.source(), request.seed or 0
    start, end = _ends(request, source)
    if {"size", "image"} <= model.tasks:
        draw, notes = _of_network(model, source, seed, animated=request.frames is not None)
    else:
        draw, notes = _of_patches(source, seed)
    # Parts keep one size through an animation.
    scale = min(scale_of_parts(source.size, size) for size in (start, end))
    if request.frames is None:
        return Made(draw(end, scale, request.num or 1), request.num or 1, notes)
    sizes = _between(start, end, request.frames)
    canvas = tuple(max(sides) for sides in zip(*sizes, strict=True))
    images = (_on_canvas(next(draw(size, scale, 1)), canvas) for size in sizes)
    return Made(images, request.frames, notes, frames_per_second=_FRAMES_PER_SECOND)


def _of_patches(source: Source, seed: int) -> tuple[Draw, list[str]]:
    photo, notes = pictures.first_frame(source, from_patches.wanted_size(source, None))

    def draw(size: Size, scale: float, count: int) -> Iterator[np.ndarray]:
        return from_patches.rendered("retarget", [photo] * count, source, size, seed, scale)

    return draw, [*notes, "the photo, squeezed or stretched and then made of its own patches"]


def _of_network(model: TrainedModel, source: Source, seed: int, animated: bool) -> tuple[Draw, list[str]]:
    learnt, notes = pictures.first_frame(source, model.size)
    if injected.possible(model):
        start = injected.start_scale("retarget", model)
        notes = [*notes, f"the training picture at that size, scales {start} to {model.num_scales - 1} drawn anew"]
    else:
        start, notes = 0, [*notes, "the training picture, brought to that size by the network"]
    share = injected.share_learnt(model)

    def composed(size: Size, scale: float, count: int) -> Iterator[np.ndarray]:
        small = tuple(max(_SMALLEST, round(side * share / scale)) for side in size)
        return injected.drawn(model, learnt, start, seed, count, small)

    def draw_whole(size: Size, scale: float, count: int) -> Iterator[np.ndarray]:
        return injected.drawn(model, learnt, start, seed, count, size)

    def draw_enlarged(size: Size, scale: float, count: int) -> Iterator[np.ndarray]:
        return (pictures.fitted(image, size) for image in composed(size, scale, count))

    def draw_finished(size: Size, scale: float, count: int) -> Iterator[np.ndarray]:
        return from_patches.rendered("retarget", composed(size, scale, count), source, size, seed, scale)

    if share == 1:
        return draw_whole, notes
    if animated:
        return draw_enlarged, [*notes, "enlarged, as the network learnt it smaller"]
    return draw_finished, [*notes, "then made of the photo's own patches, as the network learnt it smaller"]


def scale_of_parts(photo: Size, size: Size) -> float:
    """The size of the photo's parts in a picture of `size`: 1, less where the photo has far more pixels."""
    return min(1.0, math.sqrt(_MOST_PIXELS * math.prod(size) / math.prod(photo)))


def _ends(request: Request, source: Source) -> tuple[Size, Size]:
    """First and last size; of a picture alone both are its own."""
    start, colon, end = request.size.rpartition(":")
    if colon and request.frames is None:
        raise UserError(f"--size {request.size!r} goes from one size to another: add --frames N, or name one size")
    if request.frames is None:
        start = end
    return parse_size(start or "photo", source.size), parse_size(end, source.size)


def _between(start: Size, end: Size, count: int) -> list[Size]:
    shares = np.linspace(0.0, 1.0, count)
    return [tuple(round(a + (b - a) * share) for a, b in zip(start, end, strict=True)) for share in shares]


def _on_canvas(image: np.ndarray, canvas: Size) -> np.ndarray:
    """`image` at the upper left of white."""
    made = np.ones((*canvas, image.shape[-1]), np.float32)
    made[: image.shape[0], : image.shape[1]] = image
    return made
