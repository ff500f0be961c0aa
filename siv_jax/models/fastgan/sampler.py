"""Samples of FastGAN: latents in, images out, each from its own latent alone."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.fastgan import network
from siv_jax.models.fastgan.config import ModelConfig
from siv_jax.models.fastgan.plan import Plan
from siv_jax.models.interface import Samples
from siv_jax.nn import flat, numbered_noise
from siv_jax.nn.precision import compute_dtype

# So many of a latent's values choose the noise that is injected into the maps: it is the sum of as many fixed random
# maps with these values, made a vector of length 1, as weights. Each place's noise is then N(0, 1) over the latents,
# and along a walk between latents it changes as smoothly as the image.
NOISE_VALUES = 8


class Sampler:
    """The averaged generator with averaged batch statistics (a `siv_jax.models.interface.Sampler`).

    As run a sample is normalized by the statistics of the batch that it is drawn in, and gets new noise every time.
    """

    num_scales = 1
    tasks = frozenset()

    def __init__(self, plan: Plan, model: ModelConfig):
        self._plan, self._noise_dim = plan, model.noise_dim
        self._generator = network.generator(plan, model, compute_dtype(model.dtype))

    def noise(self, seed: int, start: int, count: int, size: None = None) -> np.ndarray:
        """Latents float32 [count, noise_dim + NOISE_VALUES] from N(0, I), by the seed and their own numbers."""
        return numbered_noise.normal(seed, start, count, self._noise_dim + NOISE_VALUES)

    def draw(
        self, weights: dict, noise: jax.Array, size: None = None, image: None = None, start_scale: int = 0
    ) -> Samples:
        """Images of the plan's size for latents [n, noise_dim + NOISE_VALUES]."""
        z, chosen = noise[:, : self._noise_dim], noise[:, self._noise_dim :]
        injected = injected_noise(chosen, self._plan.noise_shapes)
        images, _ = self._generator.apply(
            weights["ema"], weights["vectors_g"], z, injected, statistics=weights["statistics"]
        )
        return Samples(jnp.clip(images, -1.0, 1.0))


def injected_noise(chosen: jax.Array, shapes: list[tuple[int, int]]) -> list[jax.Array]:
    """Noise maps [n, h, w, 1] of the shapes for `chosen` [n, NOISE_VALUES]."""
    length = jnp.sqrt(jnp.sum(jnp.square(chosen), axis=1, keepdims=True))
    values = chosen / jnp.maximum(length, 1e-12)
    pixels = sum(height * width for height, width in shapes)
    fixed = jax.random.normal(jax.random.key(0, impl="threefry2x32"), (NOISE_VALUES, pixels))
    return flat.cut(values @ fixed, [(*shape, 1) for shape in shapes])
