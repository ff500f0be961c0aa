"""Samples: latent vectors in, images out, and masks of a generator that makes them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.interface import Samples
from siv_jax.nn import numbered_noise
from siv_jax.nn.precision import compute_dtype
from siv_jax.nn.two_branch.network import Network
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.settings import ModelConfig


class Sampler:
    """The averaged generator (a `siv_jax.models.interface.Sampler`); `make_generator` makes its network."""

    num_scales = 1
    tasks = frozenset()

    def __init__(
        self, make_generator: Callable[[Plan, ModelConfig, jnp.dtype], Network], plan: Plan, model: ModelConfig
    ):
        self._noise_dim = model.noise_dim
        self._generator = make_generator(plan, model, compute_dtype(model.dtype))

    def noise(self, seed: int, start: int, count: int, size: None = None) -> np.ndarray:
        """Latents float32 [count, noise_dim] from N(0, I); each depends on the seed and its own number alone."""
        return numbered_noise.normal(seed, start, count, self._noise_dim)

    def draw(
        self, weights: dict, noise: jax.Array, size: None = None, image: None = None, start_scale: int = 0
    ) -> Samples:
        """Images of the plan's size for latents [n, noise_dim], and of masks the likeliest class of each pixel."""
        images, _, *masks = self._generator.apply(weights["ema"], weights["vectors_g"], noise)
        return Samples(images[-1], *(jnp.argmax(mask, -1).astype(jnp.int32) for mask in masks))
