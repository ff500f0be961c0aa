"""Batch normalization whose statistics are the batch's, over all shards, or given from outside."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

EPS = 1e-5
STATISTICS = "batch_stats"  # flax's usual name of the collection


class BatchNorm(nn.Module):
    """(x - mean) / sqrt(var + 1e-5) * scale + bias for each channel of x [..., C], in x's dtype.

    Mean and variance are those of the batch. With the collection STATISTICS among the variables they come from there:
    then a sample's result depends on the sample alone. With it mutable, the batch's own are put there: "mean" and
    "square", float32 [C], the means of x and of x^2, which may be averaged over batches.

    axis_name: mapped axis over whose shards the batch is spread; their statistics are then common.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        if self.is_mutable_collection(STATISTICS):
            mean, variance = _moments(x.astype(jnp.float32), self.axis_name)
            self.put_variable(STATISTICS, "mean", mean)
            self.put_variable(STATISTICS, "square", variance + jnp.square(mean))
        elif self.has_variable(STATISTICS, "mean"):
            mean = self.get_variable(STATISTICS, "mean")
            variance = jnp.maximum(self.get_variable(STATISTICS, "square") - jnp.square(mean), 0.0)
            factor = jax.lax.rsqrt(variance + EPS) * scale
            return ((x.astype(jnp.float32) - mean) * factor + bias).astype(x.dtype)
        return batch_norm(x, scale, bias, self.axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, axis_name: str | None = None) -> jax.Array:
    """x [..., C] normalized by the batch's statistics, times scale [C] plus bias [C].

    The gradient is the closed form, which takes fewer passes over x than that of the single operations.
    """
    return _forward(x, scale, bias, axis_name)[0]


def _forward(x, scale, bias, axis_name):
    values = x.astype(jnp.float32)
    mean, variance = _moments(values, axis_name)
    inverse = jax.lax.rsqrt(variance + EPS)
    return ((values - mean) * (inverse * scale) + bias).astype(x.dtype), (x, mean, inverse, scale)


def _backward(axis_name, saved, cotangent):
    x, mean, inverse, scale = saved
    unit, gradient = (x.astype(jnp.float32) - mean) * inverse, cotangent.astype(jnp.float32)
    by_scale, by_bias = _mean(gradient * unit, None), _mean(gradient, None)
    # A shard's values move the statistics of all: their gradients meet here.
    common = (by_scale, by_bias) if axis_name is None else jax.lax.pmean((by_scale, by_bias), axis_name)
    by_x = (gradient - common[1] - unit * common[0]) * (inverse * scale)
    count = x.size // x.shape[-1]
    return by_x.astype(x.dtype), by_scale * count, by_bias * count


batch_norm.defvjp(_forward, _backward)


def _moments(values: jax.Array, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    """Mean and variance, the latter from the differences: no cancellation."""
    mean = _mean(values, axis_name)
    return mean, _mean(jnp.square(values - mean), axis_name)


def _mean(values: jax.Array, axis_name: str | None) -> jax.Array:
    mean = jnp.mean(values, axis=tuple(range(values.ndim - 1)))
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)
