"""Harmonize, edit, paint: a picture that somebody changed becomes one that looks like the photo."""

from typing import NamedTuple

import numpy as np

from siv_jax.apply import blend, from_patches, injected, mask, pictures
from siv_jax.apply.made import Made
from siv_jax.apply.pictures import Size
from siv_jax.apply.request import Request
from siv_jax.data import Source
from siv_jax.errors import UserError
from siv_jax.sampling.trained_model import TrainedModel

_NO_PICTURES = "this model's network takes no pictures"


def changed(model: TrainedModel, request: Request) -> Made:
    """Pictures for the tasks harmonize, edit and paint.

    A model whose network takes pictures gets this one at a scale of its pyramid; for others it is made of the photo's
    patches. With a mask the result is blended with the photo.

    Raises:
      UserError: options that do not go with this model, or pictures that do not go together.
    """
    by = _by_network if injected.possible(model) else _by_patches
    return by(model, request)


def _by_network(model: TrainedModel, request: Request) -> Made:
    whole = injected.share_learnt(model) == 1
    if whole and request.size is not None:
        raise UserError(
            f"--size does not go with this model, whose network draws at {model.size[1]}x{model.size[0]}: enlarge the "
            "result with python -m siv_jax.render --photo PHOTO --from RESULT --size SIZE"
        )
    # Imported weights have no photo, which an edit without a mask at the network's own size does not need.
    source = None if whole and request.mask is None else model.source()
    start = injected.start_scale(request.task, model, request.start_scale)
    seed, count = request.seed or 0, request.num or 1
    size = model.size if whole else from_patches.wanted_size(source, request.size)
    given, seen = _fitted(request, size), pictures.fitted(request.image, model.size)
    images = injected.drawn(model, seen, start, seed, count)
    last = model.num_scales - 1
    notes = [*given.notes, f"the network draws scales {start} to {last} anew, of 0 (coarsest) to {last}"]
    if not whole and request.task == "harmonize":
        images = (_changed_alike(given.image, seen, image) for image in images)
        notes.append(f"at {model.size[1]}x{model.size[0]}, as it learnt; the image is changed alike at its own size")
    elif not whole:
        images = from_patches.rendered(request.task, images, source, size, seed)
        notes.append(f"at {model.size[1]}x{model.size[0]}, as it learnt; then made of the photo's own patches")
    if given.soft is None:
        return Made(images, count, notes)
    return Made(images, count, notes, _photo(source, given), given.soft)


def _changed_alike(image: np.ndarray, seen: np.ndarray, made: np.ndarray) -> np.ndarray:
    """`image` [H, W, C] with the difference, enlarged, between what a network saw of it [h, w, C] and made of that."""
    return np.clip(image + pictures.fitted(made - seen, image.shape[:2]), -1.0, 1.0)


def _by_patches(model: TrainedModel, request: Request) -> Made:
    if request.start_scale is not None:
        raise UserError(
            f"--start_scale does not go with this model: {_NO_PICTURES}, and the photo's patches are used instead; "
            "leave it out, or train a model with a pyramid of scales"
        )
    source = model.source()
    size, seed, count = from_patches.wanted_size(source, request.size), request.seed or 0, request.num or 1
    given = _fitted(request, size)
    photo, soft = _photo(source, given), given.soft
    if request.task == "harmonize":
        images = from_patches.recoloured(given.image, given.marked, photo, seed, count)
        notes = [*given.notes, f"takes the colours of the photo's patches: {_NO_PICTURES}"]
        # The recoloured piece has no seam that would have to fade, and thin things would fade with it.
        soft = None if soft is None else np.maximum(soft, given.marked.astype(np.float32))
    else:
        images = from_patches.rendered(request.task, [given.image] * count, source, size, seed)
        notes = [*given.notes, f"made of the photo's patches: {_NO_PICTURES}"]
    return Made(images, count, notes, photo, soft)


class _Given(NamedTuple):
    """What was given, at one size. marked: bool [h, w], everything without a mask. soft: the feathered mask or None."""

    image: np.ndarray
    marked: np.ndarray
    soft: np.ndarray | None
    notes: list[str]


def _fitted(request: Request, size: Size) -> _Given:
    found = request.image.shape[:2]
    image, notes = pictures.fitted(request.image, size), pictures.size_note("the image", found, size)
    if request.mask is None:
        return _Given(image, np.ones(size, bool), None, notes)
    notes = [*notes, *pictures.size_note("the mask", request.mask.shape, size)]
    marked = mask.fitted(request.mask, size)
    return _Given(image, marked, blend.soft_mask(request.task, marked), notes)


def _photo(source: Source, given: _Given) -> np.ndarray:
    """Of the run's frames, at the size of what was given, the one that it was made from."""
    return pictures.nearest_frame(pictures.frames(source, given.image.shape[:2]), given.image, given.marked)
