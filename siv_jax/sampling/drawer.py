"""A sampler compiled for batches of a fixed size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from siv_jax.errors import UserError
from siv_jax.models.interface import Plan, Sampler, Samples

# Output values at most in one call of the compiled sampler: 32 samples at 128x128, 8 at 192x320.
_VALUES_PER_BATCH = 1_600_000
_LARGEST_BATCH = 64
# A plan whose sides are in another proportion than the picture's by more than this factor gives distorted samples.
_MOST_DISTORTION = 1.05


def sample_size(plan: Plan, source_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of samples: the plan's, or where plans fit the picture's shape badly, brought back to its shape.

    Args:
      source_size: (height, width) of the picture; (0, 0) where it is not known.
    """
    planned = (plan.height, plan.width)
    if 0 in source_size:
        return planned
    distortion = planned[0] / planned[1] * source_size[1] / source_size[0]
    if 1 / _MOST_DISTORTION <= distortion <= _MOST_DISTORTION:
        return planned
    scale = max(planned) / max(source_size)
    height, width = (max(1, round(side * scale)) for side in source_size)
    return height, width


class Drawer:
    """Draws samples in the picture's proportions, or of a size that the model makes itself.

    Attributes:
      sampler: what it draws with.
      size: (height, width) of the samples.
      batch: samples in one call.
      draw: the pure function from weights and noise to samples of this size.
    """

    def __init__(
        self,
        sampler: Sampler,
        plan: Plan,
        source_size: tuple[int, int] = (0, 0),
        size: tuple[int, int] | None = None,
        start_scale: int = 0,
    ):
        """`size` and `start_scale` as of `Sampler.draw`, of a sampler with these tasks."""
        self.sampler, self.size = sampler, size or sample_size(plan, source_size)
        height, width = size or (plan.height, plan.width)
        self.batch = int(np.clip(_VALUES_PER_BATCH // (height * width * plan.channels), 1, _LARGEST_BATCH))
        self._options = {"size": size} if size else {}
        options = self._options | ({"start_scale": start_scale} if start_scale else {})
        self.draw = lambda weights, noise: _brought_to(sampler.draw(weights, noise, **options), self.size)
        self._draw = jax.jit(self.draw)

    def noise(self, seed: int, start: int, count: int) -> np.ndarray:
        """Noise for samples number `start` to `start + count` of `seed`, see Sampler."""
        return self.sampler.noise(seed, start, count, **self._options)

    def __call__(self, weights: Any, noise: np.ndarray) -> Samples:
        """Samples as numpy arrays for noise [n, ...], n >= 1."""
        return self.start(weights, noise)()

    def batches(self, weights: Any, pieces: Iterable[np.ndarray]) -> Iterator[Samples]:
        """Samples for pieces of noise [n, ...], in batches of at most `batch`: one is in memory at a time.

        Raises:
          UserError: see `require_finite`.
        """
        done = 0
        for noise in pieces:
            for start in range(0, len(noise), self.batch):
                yield require_finite(self(weights, noise[start : start + self.batch]), done + start)
            done += len(noise)

    def start(self, weights: Any, noise: np.ndarray) -> Callable[[], Samples]:
        """Begins to draw without waiting; what it returns waits and gives the samples."""
        count = len(noise)
        padding = np.zeros((-count % self.batch, *noise.shape[1:]), np.float32)
        padded = np.concatenate([noise.astype(np.float32), padding])
        batches = [self._draw(weights, padded[i : i + self.batch]) for i in range(0, len(padded), self.batch)]
        return lambda: jax.tree.map(
            lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves])[:count], *batches
        )


def require_finite(drawn: Samples, start: int = 0) -> Samples:
    """`drawn`, samples number `start` on.

    Raises:
      UserError: one is not finite, as latents that are far too large make them.
    """
    good = np.isfinite(drawn.images).all(axis=(1, 2, 3))
    if not good.all():
        raise UserError(f"latent number {start + int(good.argmin())} gives no picture: its values are far too large")
    return drawn


def _brought_to(drawn: Samples, size: tuple[int, int]) -> Samples:
    if drawn.images.shape[1:3] == size:
        return drawn
    count, *_, channels = drawn.images.shape
    images = jax.image.resize(drawn.images, (count, *size, channels), "linear").clip(-1.0, 1.0)
    masks = drawn.masks
    return Samples(images, None if masks is None else jax.image.resize(masks, (count, *size), "nearest"))
