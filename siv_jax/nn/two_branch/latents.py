"""Latent vectors by number."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def draw(seed: int, start: int, count: int, length: int) -> np.ndarray:
    """float32 [count, length] from N(0, I), numbers `start` on; each depends on the seed and its own number alone."""
    key = jax.random.key(seed, impl="threefry2x32")
    return np.asarray(_drawn(key, jnp.arange(start, start + count), length))


@functools.partial(jax.jit, static_argnames="length")
def _drawn(key: jax.Array, numbers: jax.Array, length: int) -> jax.Array:
    return jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), (length,)))(numbers)
