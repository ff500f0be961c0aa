"""Activations that several models use."""

import jax


def leaky_relu(x: jax.Array) -> jax.Array:
    """LeakyReLU with slope 0.2, in x's dtype."""
    return jax.nn.leaky_relu(x, 0.2)
