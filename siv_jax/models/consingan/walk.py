"""Animation: a random walk of all noises close to those that rebuild the picture (SinGAN's, as ConSinGAN runs it)."""

from collections.abc import Iterator

import numpy as np

_FIRST_STEP = 0.01  # share of new noise in the first position


def walk(
    fixed: list[np.ndarray], draws: Iterator[list[np.ndarray]], start: int, strength: float, smoothness: float
) -> Iterator[list[np.ndarray]]:
    """Noises of frame after frame, one array a stage.

    Args:
      fixed: noises of the picture, one a stage.
      draws: normal noises of the same shapes; the first are for the start, then one set a frame.
      start: stages below it stay at `fixed`.
      strength: alpha, how strongly each frame is drawn back to `fixed`.
      smoothness: beta, how much of its last move a frame keeps.
    """
    strength, smoothness = np.float32(strength), np.float32(smoothness)
    first = np.float32(_FIRST_STEP)
    before, now = fixed, [(1 - first) * z + first * u for z, u in zip(fixed, next(draws), strict=True)]
    for fresh in draws:
        moves = [
            smoothness * (here - there) + (1 - smoothness) * u
            for here, there, u in zip(now, before, fresh, strict=True)
        ]
        moved = [strength * z + (1 - strength) * (here + move) for z, here, move in zip(fixed, now, moves, strict=True)]
        before, now = now, [*fixed[:start], *moved[start:]]
        yield now
