"""The parts of the generator and the discriminator. Pictures and features are [B, H, W, C], float32."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.models.consingan.config import ModelConfig
from siv_jax.nn.convolution import conv2d_valid, padded
from siv_jax.nn.picture_norm import normalised

BODY_BLOCKS = 3
BODY_BORDER = BODY_BLOCKS  # pixels that a body takes from each side of what it is given
PRELU_START = 0.25


class Conv(nn.Module):
    """A 3x3 convolution without padding, with bias: [B, H, W, c_in] -> [B, H - 2, W - 2, features]."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # Values before the first step are drawn elsewhere, see parts.py.
        kernel = self.param("kernel", nn.initializers.zeros, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return conv2d_valid(x, kernel) + bias


class Block(nn.Module):
    """Convolution -> [normalisation] -> activation: [B, H, W, c_in] -> [B, H - 2, W - 2, model.width]."""

    model: ModelConfig
    normalise: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(self.model.width, name="conv")(x)
        if self.normalise:
            x = Norm(name="norm")(x)
        if self.model.activation == "prelu":
            x = jnp.where(x > 0, x, x * self.param("slope", nn.initializers.constant(PRELU_START), (1,)))
            return x
        return _activation(self.model)(x)


class Norm(nn.Module):
    """Batch norm of each sample by itself, as the method, whose batches hold one sample, never changes to averages."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        shift = self.param("shift", nn.initializers.zeros, x.shape[-1:])
        return normalised(x, scale, shift)


class Head(nn.Module):
    """Pictures or noise [B, H, W, C] -> features of the same size."""

    model: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return Block(self.model, self.model.batch_norm, name="block")(padded(x, 1))


class Body(nn.Module):
    """Features [B, H, W, N] -> [B, H - 6, W - 6, N]."""

    model: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(BODY_BLOCKS):
            x = Block(self.model, self.model.batch_norm, name=f"block_{i}")(x)
        return x


class Tail(nn.Module):
    """Features [B, H, W, N] -> pictures [B, H, W, channels] in (-1, 1)."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(Conv(self.channels, name="conv")(padded(x, 1)))


class Discriminator(nn.Module):
    """Pictures [B, H, W, C] -> a map [B, H - 10, W - 10, 1] without bounds."""

    model: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(1 + BODY_BLOCKS):
            x = Block(self.model, False, name=f"block_{i}")(x)
        return Conv(1, name="conv")(x)


def _activation(model: ModelConfig) -> Callable[[jax.Array], jax.Array]:
    slope = model.slope
    kinds = {"lrelu": lambda x: jnp.where(x > 0, x, slope * x), "elu": jax.nn.elu, "selu": jax.nn.selu}
    return kinds[model.activation]
