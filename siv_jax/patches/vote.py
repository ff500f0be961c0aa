"""Votes: each pixel becomes the weighted mean of the photo's patches that cover it."""

import jax
import jax.numpy as jnp
from jax import lax

from siv_jax.patches.pyramid import PATCH

Array = jax.Array


# By measurement on pictures of Places: sharper weights leave seams, and their SIFID is half as high again at 1; with
# equal weights patches that fit badly blur what they cover.
_SHARPNESS = 0.2


def weights(distances: Array) -> Array:
    """exp(-0.2 d / the 75th percentile of d): patches that fit very badly hardly count. [h, w] -> [h, w]."""
    some = distances.reshape(-1)
    some = some[:: max(1, len(some) // 4096)]
    return jnp.exp(-_SHARPNESS * distances / jnp.maximum(jnp.percentile(some, 75), 1e-8)) + 1e-6


def vote(photo: Array, field: Array, weight: Array) -> Array:
    """Photo [n, h', w', c] read through matches [h, w, 3] with weights [h, w] -> picture [h + 6, w + 6, c]."""
    height, width = field.shape[:2]
    total = jnp.zeros((height + PATCH - 1, width + PATCH - 1, photo.shape[-1] + 1), photo.dtype)

    def add(number: Array, total: Array) -> Array:
        y, x = jnp.divmod(number, PATCH)
        values = photo[field[..., 0], field[..., 1] + y, field[..., 2] + x] * weight[..., None]
        values = jnp.concatenate([values, weight[..., None]], axis=-1)
        there = lax.dynamic_slice(total, (y, x, jnp.int32(0)), values.shape)
        return lax.dynamic_update_slice(total, there + values, (y, x, jnp.int32(0)))

    total = lax.fori_loop(jnp.int32(0), jnp.int32(PATCH**2), add, total)
    return total[..., :-1] / total[..., -1:]
