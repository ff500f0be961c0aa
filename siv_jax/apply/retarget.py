"""The training picture at another size or aspect, its parts keeping theirs; still, or as frames from size to size."""

from collections.abc import Iterator

import numpy as np

from siv_jax.apply import from_patches, pictures
from siv_jax.apply.made import Made
from siv_jax.apply.pictures import Size
from siv_jax.apply.request import Request
from siv_jax.errors import UserError
from siv_jax.sampling.rendering import parse_size
from siv_jax.sampling.trained_model import TrainedModel

_FRAMES_PER_SECOND = 12


def retargeted(model: TrainedModel, request: Request) -> Made:
    """Pictures at `request.size`, or with `request.frames` an animation that ends there.

    A model that draws at any size does so: of the training picture where it takes one, else a new picture. For the
    others, and for animations of models that take no picture, the photo is squeezed or stretched and then made of its
    own patches.

    Raises:
      UserError: a size that cannot be made.
    """
    tasks, source = model.sampler.tasks, model.source()
    conditional = "size" in tasks and "image" in tasks and model.sampler.num_scales == 1
    by_network = conditional or ("size" in tasks and request.frames is None)
    own = model.size if by_network else from_patches.wanted_size(source, None)
    start, end = _ends(request, own)
    photo = pictures.frames(source, own)[0] if conditional or not by_network else None
    notes = ["a clip's first frame is used"] if photo is not None and source.num_frames > 1 else []
    if conditional:
        notes.append("the training picture, drawn at that size by the network")
    elif by_network:
        notes.append("new pictures of that size, drawn by the network; it has no way to squeeze the training picture")
    else:
        notes.append("the photo, squeezed or stretched and then made of its own patches")

    def draw(size: Size, count: int) -> Iterator[np.ndarray]:
        seed = request.seed or 0
        if not by_network:
            fidelity = from_patches.FIDELITY[request.task]
            yield from from_patches.rendered(photo, source, size, fidelity, seed, count)
            return
        image = None if photo is None else photo[None]
        for number in range(count):
            yield model.draw_beyond(model.sampler.noise(seed, number, 1, size), size=size, image=image)[0]

    if request.frames is None:
        return Made(draw(end, request.num or 1), request.num or 1, notes)
    sizes = _between(start, end, request.frames)
    canvas = tuple(max(sides) for sides in zip(*sizes, strict=True))
    images = (_on_canvas(next(draw(size, 1)), canvas) for size in sizes)
    return Made(images, request.frames, notes, frames_per_second=_FRAMES_PER_SECOND)


def _ends(request: Request, own: Size) -> tuple[Size, Size]:
    start, colon, end = request.size.rpartition(":")
    if colon and request.frames is None:
        raise UserError(f"--size {request.size!r} goes from one size to another: add --frames N, or name one size")
    return (parse_size(start, own) if colon else own), parse_size(end, own)


def _between(start: Size, end: Size, count: int) -> list[Size]:
    shares = np.linspace(0.0, 1.0, count)
    return [tuple(round(a + (b - a) * share) for a, b in zip(start, end, strict=True)) for share in shares]


def _on_canvas(image: np.ndarray, canvas: Size) -> np.ndarray:
    """`image` at the upper left of white."""
    made = np.ones((*canvas, image.shape[-1]), np.float32)
    made[: image.shape[0], : image.shape[1]] = image
    return made
