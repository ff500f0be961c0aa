"""Samples of SIV-GAN: latent vectors in, images out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.interface import Samples
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.nn.precision import compute_dtype


class Sampler:
    """The averaged generator (a `siv_jax.models.interface.Sampler`)."""

    tasks = frozenset({"size"})

    def __init__(self, plan: Plan, model: ModelConfig):
        self._plan, self._noise_dim = plan, model.noise_dim
        self._generator = network.generator(plan, model, compute_dtype(model.dtype))

    def noise(self, seed: int, start: int, count: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Latents float32 [count, noise_dim] from N(0, I); each depends on the seed and its own number alone.

        For pictures of another size [count, rows, columns, noise_dim]: as many latents side by side as cover it.
        """
        shape = (self._noise_dim,)
        if size is not None:
            cells = self._cells(size)
            shape = -(-cells[0] // self._plan.noise_height), -(-cells[1] // self._plan.noise_width), *shape
        key = jax.random.key(seed, impl="threefry2x32")
        return np.asarray(_latents(key, jnp.arange(start, start + count), shape))

    def draw(
        self,
        weights: dict,
        noise: jax.Array,
        size: tuple[int, int] | None = None,
        image: None = None,
        start_scale: int = 0,
    ) -> Samples:
        """Images of the plan's size for latents [n, noise_dim], or of `size` for [n, rows, columns, noise_dim].

        A larger picture is drawn in one piece from first feature maps laid side by side: all layers after them are
        convolutions, which join them.
        """
        options = {} if size is None else {"cells": self._cells(size)}
        images, _ = self._generator.apply(weights["ema"], weights["vectors_g"], noise, **options)
        return Samples(images[-1] if size is None else images[-1][:, : size[0], : size[1]])

    def _cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """Noise cells (height, width) that cover a picture of `size`."""
        cell = self._plan.height // self._plan.noise_height
        return -(-size[0] // cell), -(-size[1] // cell)


@functools.partial(jax.jit, static_argnames="shape")
def _latents(key: jax.Array, numbers: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), shape))(numbers)
