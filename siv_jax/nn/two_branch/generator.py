"""The generator: latent vectors to images at every scale."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.nn.two_branch.blocks import Conv, GeneratorBlock, kernel_init
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.settings import ModelConfig

# Channel multipliers from the coarsest map to the finest; g blocks use the last g + 1.
_WIDTHS = (8, 8, 8, 8, 8, 8, 8, 4, 2, 1)


class NoiseProjection(nn.Module):
    """Dense map from z [B, noise_dim] to the first feature map [B, h0, w0, features].

    The kernel is [noise_dim, h0, w0, features] and the bias [features], shared by all positions (as run: a
    transposed convolution of a 1x1 map). It has no spectral norm.
    """

    height: int
    width: int
    features: int

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        shape = (z.shape[-1], self.height, self.width, self.features)
        kernel = self.param("kernel", kernel_init, shape, jnp.float32).astype(z.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).astype(z.dtype)
        flat = z @ kernel.reshape(z.shape[-1], -1)
        return flat.reshape(z.shape[0], *shape[1:]) + bias


class Generator(nn.Module):
    """z -> images and features at each of the plan's scales: all blocks but the first double both sides.

    dtype: of the arithmetic; parameters are float32.
    """

    plan: Plan
    model: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        """Images and features from the coarsest scale to the finest.

        Args:
          z: [B, noise_dim] float32, drawn from N(0, I).

        Returns:
          images: per block, float32 [B, h, w, channels] in (-1, 1), tanh of a 3x3 convolution (MSG-GAN).
          features: per block, float32 [B, h, w, c] in (-1, 1): G^l of eq. 4, tanh of the block's output.
        """
        images, features, _ = self.scales(z)
        return images, features

    def scales(self, z: jax.Array) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
        """As `__call__`, and the last block's output [B, H, W, ch_g], of type `dtype`."""
        plan = self.plan
        widths = [width * self.model.ch_g for width in _WIDTHS[-(plan.num_blocks_g + 1) :]]
        x = NoiseProjection(plan.noise_height, plan.noise_width, widths[0], name="dense")(z.astype(self.dtype))
        images, features = [], []
        block = nn.remat(GeneratorBlock) if self.model.remat else GeneratorBlock
        for i in range(plan.num_blocks_g):
            x = block(widths[i + 1], upsample=i > 0, name=f"block_{i}")(x)
            image = Conv(plan.channels, name=f"to_image_{i}")(x)
            images.append(jnp.tanh(image.astype(jnp.float32)))
            features.append(jnp.tanh(x.astype(jnp.float32)))
        return images, features, x
