"""The learnt picture at the scales of its pyramid."""

import math

import numpy as np

from siv_jax.data import Source
from siv_jax.models.singan.plan import Plan
from siv_jax.nn import pyramid_resize


def real(source: Source, plan: Plan, scale: int) -> np.ndarray:
    """float32 [1, H, W, C] in [-1, 1]: resized to the finest scale first, then straight to `scale`, as run."""
    frame = next(iter(source.frames()))
    if frame.dtype == np.uint8:
        frame = (frame.astype(np.float32) / np.float32(255) - np.float32(0.5)) * np.float32(2)
    picture = pyramid_resize.by_factor(frame[None], plan.picture_factor)
    return pyramid_resize.by_factor(picture, math.pow(plan.factor, plan.finest - scale))
