"""A picture put into a model's pyramid of scales: what is coarser than the start scale stays, the rest is drawn."""

import math
from collections.abc import Iterator

import numpy as np

from siv_jax.apply import pictures
from siv_jax.apply.pictures import Size
from siv_jax.errors import UserError
from siv_jax.sampling.trained_model import TrainedModel

# Where no start scale is given: this share of the way from the coarsest scale to the finest, at least one up.
_SHARES = {"retarget": 0.0, "paint": 0.2, "edit": 0.5, "harmonize": 0.6}

# A network that learnt at least this share of the photo's sides draws the photo's own pixels.
_LEARNT_WHOLE = 0.9


def possible(model: TrainedModel) -> bool:
    """Whether the network takes a picture at one of several scales."""
    return "image" in model.tasks and model.num_scales > 1


def share_learnt(model: TrainedModel) -> float:
    """Sides of the picture that the network learnt by those of the photo; 1 where they are nearly the same.

    Also 1 where there is no photo, as of imported weights.
    """
    pixels = math.prod(model.record.source_size)
    share = math.sqrt(math.prod(model.size) / pixels) if pixels else 1.0
    return share if share < _LEARNT_WHOLE else 1.0


def start_scale(task: str, model: TrainedModel, given: int | None = None) -> int:
    """The scale to start from, counted from the coarsest.

    Raises:
      UserError: the model has no such scale, or offers no choice of it.
    """
    if "start_scale" not in model.tasks:
        if given:
            raise UserError("--start_scale does not go with this model, which takes pictures at its coarsest scale")
        return 0
    if given is not None:
        return existing_scale(model, given)
    last = model.num_scales - 1
    return min(last, max(1, round(_SHARES[task] * last)))


def existing_scale(model: TrainedModel, given: int) -> int:
    """`given`. Raises UserError: the model has no such scale."""
    last = model.num_scales - 1
    if given > last:
        raise UserError(f"--start_scale {given}: this model's scales are 0 (coarsest) to {last}")
    return given


def drawn(
    model: TrainedModel, image: np.ndarray, start: int, seed: int, count: int, size: Size | None = None
) -> Iterator[np.ndarray]:
    """Pictures float32 [H, W, C] from image [h, w, C], numbers 0 to `count` of `seed`, of `size` or the model's own."""
    for number in range(count):
        made = model.draw_made_of(seed, number, size, image, start)
        yield pictures.fitted(made, size or model.size)
