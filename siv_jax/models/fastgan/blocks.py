"""The blocks of both networks. Maps are [B, H, W, C]; kernels have spectral norm (outside, see network.py) and no bias.

Kernels are float32 [kh, kw, c_in, c_out], cast to the input's dtype where they are applied.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.nn.activations import leaky_relu
from siv_jax.nn.batch_norm import BatchNorm
from siv_jax.nn.convolution import avg_pool2d, conv2d, halving_conv2d, small_conv2d, upsample_conv2d


def glu(x: jax.Array) -> jax.Array:
    """Gated linear unit: the first half of the channels times the sigmoid of the second."""
    values, gates = jnp.split(x, 2, axis=-1)
    return values * nn.sigmoid(gates)


class Conv(nn.Module):
    """`operation(x, kernel)`, a convolution; kernel_size is a side, or (height, width)."""

    features: int
    kernel_size: int | tuple[int, int] = 3
    operation: Callable[[jax.Array, jax.Array], jax.Array] = conv2d

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = self.kernel_size
        sides = (size, size) if isinstance(size, int) else size
        shape = (*sides, x.shape[-1], self.features)
        return self.operation(x, self.param("kernel", nn.initializers.zeros, shape, jnp.float32).astype(x.dtype))


class Start(nn.Module):
    """z [B, noise_dim] -> [B, height, width, features]: a transposed convolution of a 1x1 map, batch norm, GLU."""

    height: int
    width: int
    features: int
    axis_name: str | None

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        shape = (z.shape[-1], self.height, self.width, 2 * self.features)
        # A layer of its own only so that its kernel is named as all others.
        kernel = _Kernel(shape, name="project")().astype(z.dtype)
        flat = z @ kernel.reshape(z.shape[-1], -1)
        return glu(BatchNorm(self.axis_name, name="norm")(flat.reshape(z.shape[0], *shape[1:])))


class _Kernel(nn.Module):
    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("kernel", nn.initializers.zeros, self.shape, jnp.float32)


class Noise(nn.Module):
    """x + w * noise [B, H, W, 1] with one learned number w."""

    @nn.compact
    def __call__(self, x: jax.Array, noise: jax.Array) -> jax.Array:
        weight = self.param("weight", nn.initializers.zeros, (), jnp.float32)
        return x + (weight * noise).astype(x.dtype)


class UpBlock(nn.Module):
    """[B, H, W, c] -> [B, 2H, 2W, features]: nearest x2, 3x3 conv, batch norm, GLU.

    With `noises`, two arrays [B, 2H, 2W, 1], noise is added before the norm, and conv, noise, norm, GLU follow again.
    """

    features: int
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, noises: list[jax.Array] | None = None) -> jax.Array:
        for i, operation in enumerate([upsample_conv2d, conv2d][: len(noises or [None])]):
            x = Conv(2 * self.features, operation=operation, name=f"conv_{i}")(x)
            if noises:
                x = Noise(name=f"noise_{i}")(x, noises[i])
            x = glu(BatchNorm(self.axis_name, name=f"norm_{i}")(x))
        return x


class SkipExcitation(nn.Module):
    """Skip-layer excitation: channels of `high` [B, H, W, C] times gates that are made of `low` [B, h, w, c].

    `low` is averaged to grid [gh, gw] (4x4 of square pictures), whose sides divide its own.
    """

    grid: tuple[int, int]

    @nn.compact
    def __call__(self, low: jax.Array, high: jax.Array) -> jax.Array:
        batch, height, width, channels = low.shape
        rows, columns = self.grid
        cells = low.reshape(batch, rows, height // rows, columns, width // columns, channels)
        pooled = jnp.mean(cells, axis=(2, 4))
        gates = nn.swish(Conv(high.shape[-1], self.grid, small_conv2d, name="conv_0")(pooled))
        return high * nn.sigmoid(Conv(high.shape[-1], 1, name="conv_1")(gates))


class HalvingBlock(nn.Module):
    """[B, H, W, c] -> [B, H / 2, W / 2, features]: 4x4 conv at every other place, batch norm unless not, LeakyReLU."""

    features: int
    axis_name: str | None
    normalized: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(self.features, 4, halving_conv2d, name="conv")(x)
        return leaky_relu(BatchNorm(self.axis_name, name="norm")(x) if self.normalized else x)


class DownBlock(nn.Module):
    """[B, H, W, c] -> [B, H / 2, W / 2, features]: the mean of a path of convolutions and one of average pooling."""

    features: int
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        main = HalvingBlock(self.features, self.axis_name, name="halve")(x)
        main = leaky_relu(BatchNorm(self.axis_name, name="norm")(Conv(self.features, name="conv")(main)))
        direct = Conv(self.features, 1, name="shortcut")(avg_pool2d(x))
        direct = leaky_relu(BatchNorm(self.axis_name, name="shortcut_norm")(direct))
        return (main + direct) * jnp.asarray(0.5, x.dtype)
