"""A lambda that follows how far samples differ from each other.

One lambda does not fit all pictures: with small networks .05 leaves the samples of one alike and .09 breaks up those of
another. Every EVERY steps a few samples of the averaged generator, which later samples come from, are compared.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from siv_jax.nn import spread

EVERY, WAIT = 125, 750  # steps; samples begin to form within WAIT steps
SAMPLES = 12
# Lambda is multiplied by the exponential of a gain times the error, LIMIT at most, so that one comparison of samples
# that form late does not throw it far. Faster upwards: samples that have become alike are hard to part again.
GAIN_UP, GAIN_DOWN, LIMIT = 1.5, 0.75, 0.3
# Below the lowest samples drift towards copies of the picture before the next comparison.
LOWEST, HIGHEST = 0.05, 0.6


@struct.dataclass
class Steering:
    """Scalars float32 []."""

    weight: jax.Array  # lambda
    views: jax.Array  # how far views of the training frames differ, see `spread.of_views`
    spread: jax.Array  # how far samples differed when last compared, 1 being as far as views; 0 before


def start(weight: float, frames: np.ndarray) -> Steering:
    """Before the first step; frames [N, H, W, C], uint8 or float32 in [-1, 1]."""
    return Steering(np.float32(weight), np.float32(max(spread.of_views(frames), 1e-6)), np.float32(0.0))


def due(step: jax.Array) -> jax.Array:
    """bool []: whether samples are to be compared after `step` completed steps."""
    return (step >= WAIT) & (step % EVERY == 0)


def latents(noise_dim: int) -> jax.Array:
    """Normal float32 [SAMPLES, noise_dim], always the same."""
    return jax.random.normal(jax.random.key(0, impl="threefry2x32"), (SAMPLES, noise_dim))


def steered(now: Steering, images: jax.Array, target: float) -> Steering:
    """With the next lambda, after samples [SAMPLES, H, W, C] were drawn."""
    share = spread.pairwise_rms(images) / now.views
    error = jnp.clip(target - share, -LIMIT, LIMIT)
    weight = now.weight * jnp.exp(jnp.where(error > 0, GAIN_UP, GAIN_DOWN) * error)
    return now.replace(weight=jnp.clip(weight, LOWEST, HIGHEST), spread=share)
