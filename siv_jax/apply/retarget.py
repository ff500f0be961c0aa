"""The training picture at another size or aspect, its parts keeping theirs; still, or as frames from size to size."""

import functools
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

Draw = Callable[[Size, int], Iterator[np.ndarray]]  # so many pictures of a size


def retargeted(model: TrainedModel, request: Request) -> Made:
    """Pictures at `request.size`, or with `request.frames` an animation that ends there.

    A model that draws at any size does so: from the training picture where it takes one, else a new picture. For the
    others, and for animations of models that take no picture, the photo is squeezed or stretched and then made of its
    own patches. Factors are of the size that the network learnt where it draws, else of the photo's.

    Raises:
      UserError: a size that cannot be made.
    """
    seed = request.seed or 0
    own, parse = model.size, model.drawn_size
    if "size" in model.tasks and "image" in model.tasks:
        draw, notes = _of_the_picture(model, seed)
    elif "size" in model.tasks and request.frames is None:
        notes = ["new pictures of that size, drawn by the network: it takes no picture"]

        def draw(size: Size, count: int) -> Iterator[np.ndarray]:
            return (model.draw_made_of(seed, number, size) for number in range(count))
    else:
        source = model.source()
        own, parse = from_patches.wanted_size(source, None), functools.partial(parse_size, photo=source.size)
        draw, notes = _of_patches(source, seed)
    start, end = _ends(request, own, parse)
    if request.frames is None:
        return Made(draw(end, request.num or 1), request.num or 1, notes)
    sizes = _between(start, end, request.frames)
    canvas = tuple(max(sides) for sides in zip(*sizes, strict=True))
    images = (_on_canvas(next(draw(size, 1)), canvas) for size in sizes)
    return Made(images, request.frames, notes, frames_per_second=_FRAMES_PER_SECOND)


def _of_the_picture(model: TrainedModel, seed: int) -> tuple[Draw, list[str]]:
    photo, notes = pictures.first_frame(model.source(), model.size)
    if injected.possible(model):
        start = injected.start_scale("retarget", model)
        notes = [*notes, f"the training picture at that size, scales {start} to {model.num_scales - 1} drawn anew"]
    else:
        start, notes = 0, [*notes, "the training picture, brought to that size by the network"]

    def draw(size: Size, count: int) -> Iterator[np.ndarray]:
        return injected.drawn(model, photo, start, seed, count, size)

    return draw, notes


def _of_patches(source: Source, seed: int) -> tuple[Draw, list[str]]:
    photo, notes = pictures.first_frame(source, from_patches.wanted_size(source, None))

    def draw(size: Size, count: int) -> Iterator[np.ndarray]:
        return from_patches.rendered("retarget", photo, source, size, seed, count)

    return draw, [*notes, "the photo, squeezed or stretched and then made of its own patches"]


def _ends(request: Request, own: Size, parse: Callable[[str], Size]) -> tuple[Size, Size]:
    start, colon, end = request.size.rpartition(":")
    if colon and request.frames is None:
        raise UserError(f"--size {request.size!r} goes from one size to another: add --frames N, or name one size")
    return (parse(start) if colon else own), parse(end)


def _between(start: Size, end: Size, count: int) -> list[Size]:
    shares = np.linspace(0.0, 1.0, count)
    return [tuple(round(a + (b - a) * share) for a, b in zip(start, end, strict=True)) for share in shares]


def _on_canvas(image: np.ndarray, canvas: Size) -> np.ndarray:
    """`image` at the upper left of white."""
    made = np.ones((*canvas, image.shape[-1]), np.float32)
    made[: image.shape[0], : image.shape[1]] = image
    return made
