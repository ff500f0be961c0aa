"""The learnt picture, or a clip's frames, at the scales of the pyramid."""

import math

import numpy as np

from siv_jax.data import Source
from siv_jax.models.singan.plan import Plan
from siv_jax.nn import pyramid_resize


def reals(source: Source, plan: Plan, scale: int) -> np.ndarray:
    """float32 [N, H, W, C] in [-1, 1], N = 1 of a picture."""
    return np.concatenate([_real(frame, plan, scale) for frame in source.frames()])


def _real(frame: np.ndarray, plan: Plan, scale: int) -> np.ndarray:
    """A frame [H, W, C] as [1, h, w, C]: resized to the finest scale first, then straight to `scale`, as run."""
    picture = pyramid_resize.by_factor(pyramid_resize.as_float(frame)[None], plan.picture_factor)
    return pyramid_resize.by_factor(picture, math.pow(plan.factor, plan.finest - scale))
