"""The generator: latent vectors and noise to an image and a smaller one."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.models.fastgan.blocks import Conv, SkipExcitation, Start, UpBlock
from siv_jax.models.fastgan.config import ModelConfig
from siv_jax.models.fastgan.plan import Plan, generator_width, is_composite

# A map of side s excites the one of side _EXCITES * s: 4 -> 64, 8 -> 128, 16 -> 256, 32 -> 512.
_EXCITES, _LAST_EXCITED = 16, 512
_TANH_AS_RUN = 1024


class Generator(nn.Module):
    """z and noise -> the image, and one of the plan's small size.

    dtype: of the arithmetic; parameters are float32.
    axis_name: see BatchNorm.
    """

    plan: Plan
    model: ModelConfig
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, noises: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """(image float32 [B, H, W, channels], small image), in (-1, 1) where the model has its tanh.

        Args:
          z: float32 [B, noise_dim] from N(0, I).
          noises: float32 [B, h, w, 1] from N(0, 1) for each of the plan's `noise_shapes`.
        """
        plan, noises = self.plan, list(noises)
        grid = plan.start_height, plan.start_width
        maps = {4: Start(*grid, generator_width(4, self.model), self.axis_name, name="map_4")(z.astype(self.dtype))}
        x = maps[4]
        for side in plan.sides[1:]:
            pair = [noises.pop(0), noises.pop(0)] if is_composite(side) else None
            x = UpBlock(generator_width(side, self.model), self.axis_name, name=f"map_{side}")(x, pair)
            if side // _EXCITES in maps and side <= _LAST_EXCITED:
                x = SkipExcitation(grid, name=f"excite_{side}")(maps[side // _EXCITES], x)
            maps[side] = x
        image = Conv(plan.channels, name="to_image")(x)
        small = Conv(plan.channels, 1, name="to_small_image")(maps[plan.small_size])
        images = image.astype(jnp.float32), small.astype(jnp.float32)
        if self.model.tanh == "as_run" and plan.size != _TANH_AS_RUN:
            return images
        return jnp.tanh(images[0]), jnp.tanh(images[1])
