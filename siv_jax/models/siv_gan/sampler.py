"""Samples of SIV-GAN: latent vectors in, images out."""

import jax
import numpy as np

from siv_jax.models.interface import Samples
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.nn import numbered_noise
from siv_jax.nn.precision import compute_dtype


class Sampler:
    """The averaged generator (a `siv_jax.models.interface.Sampler`)."""

    num_scales = 1
    tasks = frozenset()

    def __init__(self, plan: Plan, model: ModelConfig):
        self._noise_dim = model.noise_dim
        self._generator = network.generator(plan, model, compute_dtype(model.dtype))

    def noise(self, seed: int, start: int, count: int, size: None = None) -> np.ndarray:
        """Latents float32 [count, noise_dim] from N(0, I); each depends on the seed and its own number alone."""
        return numbered_noise.normal(seed, start, count, self._noise_dim)

    def draw(
        self, weights: dict, noise: jax.Array, size: None = None, image: None = None, start_scale: int = 0
    ) -> Samples:
        """Images of the plan's size for latents [n, noise_dim]."""
        images, _ = self._generator.apply(weights["ema"], weights["vectors_g"], noise)
        return Samples(images[-1])
