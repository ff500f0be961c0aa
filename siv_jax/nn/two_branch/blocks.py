"""The residual blocks of both networks; neither normalises its activations (method: as BigGAN, without BN).

Images and features are [B, H, W, C]; kernels are float32 [kh, kw, c_in, c_out], cast to the input's dtype
where they are applied, so that bfloat16 arithmetic keeps float32 parameters.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.nn.activations import leaky_relu
from siv_jax.nn.convolution import conv2d, conv2d_pool, upsample_conv2d

KERNEL_STD = 0.02
kernel_init = nn.initializers.normal(KERNEL_STD)


class Conv(nn.Module):
    """`operation(x, kernel) + bias`: a convolution, alone or fused with up- or downsampling.

    The bias is added after the operation; nearest upsampling and average pooling keep constants, so the
    order does not change the result.
    """

    features: int
    kernel_size: int = 3
    use_bias: bool = True
    operation: Callable[[jax.Array, jax.Array], jax.Array] = conv2d

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_init, shape, jnp.float32)
        y = self.operation(x, kernel.astype(x.dtype))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(x.dtype)
        return y


class GeneratorBlock(nn.Module):
    """LeakyReLU -> upsample -> 3x3 conv -> LeakyReLU -> 3x3 conv, plus upsample -> 1x1 conv of the input.

    [B, H, W, c_in] -> [B, 2H, 2W, features], or [B, H, W, features] where `upsample` is False.
    """

    features: int
    upsample: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = min(x.shape[-1], self.features)
        first = upsample_conv2d if self.upsample else conv2d
        y = Conv(hidden, operation=first, name="conv1")(leaky_relu(x))
        y = Conv(self.features, name="conv2")(leaky_relu(y))
        return y + Conv(self.features, 1, use_bias=False, operation=first, name="shortcut")(x)


class DiscriminatorBlock(nn.Module):
    """[LeakyReLU ->] conv -> LeakyReLU -> conv -> 2x2 average pool, plus 1x1 conv -> pool of the input.

    [B, H, W, c_in] -> [B, H // 2, W // 2, features]; a side of 1 stays 1. The content branch has kernels of
    size 1 and no pooling, and there the shortcut is the identity when c_in = features.
    """

    features: int
    kernel_size: int = 3
    pool: bool = True
    activate_input: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        last = conv2d_pool if self.pool else conv2d
        y = leaky_relu(x) if self.activate_input else x
        y = Conv(min(x.shape[-1], self.features), self.kernel_size, name="conv1")(y)
        y = Conv(self.features, self.kernel_size, operation=last, name="conv2")(leaky_relu(y))
        if self.pool or x.shape[-1] != self.features:
            x = Conv(self.features, 1, use_bias=False, operation=last, name="shortcut")(x)
        return y + x
