"""Noise of samples that each depend on a seed and their own number alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def normal(seed: int, start: int, count: int, length: int) -> np.ndarray:
    """Numbers `start` to `start + count` of `seed`: float32 [count, length] from N(0, I)."""
    key = jax.random.key(seed, impl="threefry2x32")
    return np.asarray(_normal(key, jnp.arange(start, start + count), length))


@functools.partial(jax.jit, static_argnames="length")
def _normal(key: jax.Array, numbers: jax.Array, length: int) -> jax.Array:
    return jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), (length,)))(numbers)
