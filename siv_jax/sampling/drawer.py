"""A sampler compiled for batches of a fixed size."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from siv_jax.models.interface import Plan, Sampler, Samples

# Output values at most in one call of the compiled sampler: 32 samples at 128x128, 8 at 192x320.
_VALUES_PER_BATCH = 1_600_000
_LARGEST_BATCH = 64


class Drawer:
    """Draws samples of the plan's size.

    Attributes:
      sampler: what it draws with.
      size: (height, width) of the samples.
      batch: samples in one call.
    """

    def __init__(self, sampler: Sampler, plan: Plan):
        self.sampler, self.size = sampler, (plan.height, plan.width)
        values = self.size[0] * self.size[1] * plan.channels
        self.batch = int(np.clip(_VALUES_PER_BATCH // values, 1, _LARGEST_BATCH))
        self._draw = jax.jit(lambda weights, noise: sampler.draw(weights, noise))

    def noise(self, seed: int, start: int, count: int) -> np.ndarray:
        """Noise for samples number `start` to `start + count` of `seed`, see Sampler."""
        return self.sampler.noise(seed, start, count)

    def __call__(self, weights: Any, noise: np.ndarray) -> Samples:
        """Samples as numpy arrays for noise [n, ...], n >= 1."""
        return self.start(weights, noise)()

    def start(self, weights: Any, noise: np.ndarray) -> Callable[[], Samples]:
        """Begins to draw without waiting; what it returns waits and gives the samples."""
        count = len(noise)
        padding = np.zeros((-count % self.batch, *noise.shape[1:]), np.float32)
        padded = np.concatenate([noise.astype(np.float32), padding])
        batches = [self._draw(weights, padded[i : i + self.batch]) for i in range(0, len(padded), self.batch)]
        return lambda: jax.tree.map(
            lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves])[:count], *batches
        )
