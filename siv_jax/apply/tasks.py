"""The applications by their names."""

from pathlib import Path

import numpy as np

from siv_jax.apply import animate, change, mask, pictures, retarget, super_resolution
from siv_jax.apply.made import Made
from siv_jax.apply.request import Request
from siv_jax.errors import UserError
from siv_jax.sampling.trained_model import TrainedModel

_MAKERS = {
    "harmonize": change.changed,
    "edit": change.changed,
    "paint": change.changed,
    "super_resolution": super_resolution.enlarged,
    "animate": animate.animated,
    "retarget": retarget.retargeted,
}


def made(model: TrainedModel, request: Request) -> Made:
    """What a checked request asks for.

    Raises:
      UserError: a model or pictures with which that cannot be done.
    """
    if request.mask is not None and not pictures.same_aspect(request.mask.shape, request.image.shape[:2]):
        (height, width), (rows, columns) = request.mask.shape, request.image.shape[:2]
        raise UserError(f"the mask is {width}x{height}, of another aspect than the image, {columns}x{rows}")
    return _MAKERS[request.task](model, request)


def read_image(model: TrainedModel, path: Path | None) -> np.ndarray | None:
    """The picture at `path` in the units of the model's training input, see `pictures.read_picture`."""
    return None if path is None else pictures.read_picture(path, model.record.plan.channels, model.record.format)


def read_mask(path: Path | None) -> np.ndarray | None:
    """What the mask at `path` marks, see `mask.read_mask`."""
    return None if path is None else mask.read_mask(path)
