"""Exponential moving average of weights."""

import jax
import jax.numpy as jnp


def ema_decay(step: jax.Array, decay: float, warmup: bool) -> jax.Array:
    """Decay of the average after `step` completed steps: with warm-up min(decay, (1 + t) / (10 + t))."""
    if not warmup:
        return jnp.float32(decay)
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def updated(average, params, decay: jax.Array):
    """decay * average + (1 - decay) * params, for trees of arrays."""
    return jax.tree.map(lambda old, new: new + decay * (old - new), average, params)
