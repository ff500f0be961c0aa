"""Batch normalization whose statistics are the batch's, over all shards, or given from outside."""

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
        values = x.astype(jnp.float32)
        if self.has_variable(STATISTICS, "mean") and not self.is_mutable_collection(STATISTICS):
            mean = self.get_variable(STATISTICS, "mean")
            variance = jnp.maximum(self.get_variable(STATISTICS, "square") - jnp.square(mean), 0.0)
        else:
            mean = self._mean(values)
            variance = self._mean(jnp.square(values - mean))  # from the differences: no cancellation
            if self.is_mutable_collection(STATISTICS):
                self.put_variable(STATISTICS, "mean", mean)
                self.put_variable(STATISTICS, "square", variance + jnp.square(mean))
        return ((values - mean) * (jax.lax.rsqrt(variance + EPS) * scale) + bias).astype(x.dtype)

    def _mean(self, values: jax.Array) -> jax.Array:
        mean = jnp.mean(values, axis=tuple(range(values.ndim - 1)))
        return mean if self.axis_name is None else jax.lax.pmean(mean, self.axis_name)
