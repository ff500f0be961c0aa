"""Normalisation of each picture by its own mean and variance, differentiated in closed form, twice.

As single operations the second derivatives that a gradient penalty takes pass some thirty times over the picture.
"""

import jax
import jax.numpy as jnp

EPSILON = 1e-5


@jax.custom_vjp
def normalised(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """u scale + shift with u = (x - mean) / sqrt(variance + 1e-5), mean and biased variance over H and W.

    x float32 [B, H, W, C], scale and shift [C]: [B, H, W, C].
    """
    unit, _ = _unit(x)
    return unit * scale + shift


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over H and W of x [B, H, W, C]: [B, 1, 1, C] each."""
    mean = _mean(x)
    return mean, _mean(jnp.square(x - mean))


@jax.custom_vjp
def _slopes(x: jax.Array, scale: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The gradients of `normalised` by x, scale and shift."""
    unit, inverse = _unit(x)
    by_shift, by_scale = _mean(cotangent), _mean(cotangent * unit)
    by_x = (cotangent - by_shift - unit * by_scale) * (inverse * scale)
    places = x.shape[1] * x.shape[2]
    return by_x, by_scale.sum((0, 1, 2)) * places, by_shift.sum((0, 1, 2)) * places


def _slopes_gradients(saved, cotangents):
    """With P(v) = v - <v> - u <u v>, <> the mean over places, the gradient by x is scale / sqrt(..) P(cotangent).

    P is symmetric, and its own derivative by x takes only P and means again.
    """
    x, scale, cotangent = saved
    by_x, by_scale, by_shift = cotangents
    unit, inverse = _unit(x)
    places = x.shape[1] * x.shape[2]
    means = _mean(cotangent), _mean(by_x)
    along = _mean(cotangent * unit), _mean(by_x * unit)
    across = _mean(cotangent * by_x) - means[0] * means[1] - along[0] * along[1]
    of_cotangent = cotangent - means[0] - unit * along[0]
    of_by_x = by_x - means[1] - unit * along[1]
    second_x = -scale * jnp.square(inverse) * (unit * across + of_by_x * along[0] + of_cotangent * along[1])
    # The gradient by scale is the sum of cotangent u, whose derivative by x is that of `normalised`.
    second_x = second_x + of_cotangent * (inverse * by_scale)
    second_scale = (inverse * across).sum((0, 1, 2)) * places
    second_cotangent = of_by_x * (inverse * scale) + unit * by_scale + by_shift
    return second_x, second_scale, second_cotangent


# The forward passes are the operations themselves, for whoever differentiates the gradients.
normalised.defvjp(
    lambda x, scale, shift: (normalised(x, scale, shift), (x, scale)),
    lambda saved, cotangent: _slopes(*saved, cotangent),
)
_slopes.defvjp(lambda x, scale, cotangent: (_slopes(x, scale, cotangent), (x, scale, cotangent)), _slopes_gradients)


def _unit(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean, variance = moments(x)
    inverse = jax.lax.rsqrt(variance + EPSILON)
    return (x - mean) * inverse, inverse


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=(1, 2), keepdims=True)
