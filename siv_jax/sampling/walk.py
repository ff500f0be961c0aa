"""Walks between samples."""

from collections.abc import Sequence

import numpy as np


def walk(anchors: np.ndarray, frames_between: int, numbers: Sequence[int] | None = None) -> np.ndarray:
    """Latents along a closed walk through `anchors` [k, ...], k >= 2: float32 [k * frames_between, ...].

    Great-circle steps between neighbours: points on straight lines between normal latents are shorter than
    any that the generator was trained on.

    Args:
      numbers: of the points that are wanted, as some models' latents are too large for all of them; None: all.
    """
    wanted = range(len(anchors) * frames_between) if numbers is None else numbers
    points = np.empty((len(wanted), *anchors.shape[1:]), np.float32)
    for place, number in enumerate(wanted):
        before, step = divmod(number, frames_between)
        start, end = anchors[before], anchors[(before + 1) % len(anchors)]
        points[place] = _between(start, end, np.float64(step / frames_between))
    return points


def _between(start: np.ndarray, end: np.ndarray, share: np.float64) -> np.ndarray:
    """The point at this share of the way from one latent to another."""
    cosine = np.vdot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if np.sin(angle) < 1e-4:  # equal or opposite latents: no great circle is theirs
        return (1 - share) * start + share * end
    weights = np.sin((1 - share) * angle), np.sin(share * angle)
    return (weights[0] * start + weights[1] * end) / np.sin(angle)
