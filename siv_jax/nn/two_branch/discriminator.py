"""The parts of the discriminator: low-level blocks, whose output F(x) branches read (SIV-GAN, Sec. 3.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.nn.two_branch.blocks import Conv, DiscriminatorBlock
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.settings import ModelConfig

# Channel multipliers from the full resolution down; N_D blocks use the first N_D + 1.
_WIDTHS = (1, 2, 4, 8, 8, 8, 8, 8, 8)


def widths(plan: Plan, model: ModelConfig) -> list[int]:
    """Channels before the first block of D and after each of its N_D blocks."""
    return [width * model.ch_d for width in _WIDTHS[: plan.num_blocks_d + 1]]


def content_channels(plan: Plan, model: ModelConfig) -> int:
    """Channels of F(x), which both branches read."""
    return widths(plan, model)[plan.num_blocks_low_level]


class Parts(nn.Module):
    """What a discriminator with its `__call__` is made of.

    dtype: of the arithmetic; parameters are float32.
    """

    plan: Plan
    model: ModelConfig
    dtype: jnp.dtype = jnp.float32

    def low_level(self, images: list[jax.Array], widths: list[int]) -> tuple[jax.Array, list[jax.Array]]:
        """F(x) and the logits on the way: each coarser image joins by concatenation (phi_lin_cat of MSG-GAN).

        Args:
          images: N_ll arrays float32 [B, h, w, c] in [-1, 1], coarse to fine, each side half of the next one's.
          widths: channels of all blocks, see `widths`.
        """
        images = [image.astype(self.dtype) for image in images]
        x = Conv(widths[0], name="from_image_0")(images[-1])
        logits = []
        # The large maps are in these blocks: the branches need no remat.
        block = nn.remat(DiscriminatorBlock) if self.model.remat else DiscriminatorBlock
        for i in range(self.plan.num_blocks_low_level):
            if i > 0:
                joined = Conv(widths[i] // 8, name=f"from_image_{i}")(images[-1 - i])
                x = jnp.concatenate([x, joined], axis=-1)
            x = block(widths[i + 1], activate_input=i > 0, name=f"low_level_{i}")(x)
            logits.append(self._logit("low_level", i, x))
        return x, logits

    def branch(self, part: str, x: jax.Array, widths: list[int], logits: int = 1, **block) -> list[jax.Array]:
        """A chain of blocks with these channels, and a map of `logits` channels after each."""
        found = []
        for i, width in enumerate(widths):
            x = DiscriminatorBlock(width, name=f"{part}_{i}", **block)(x)
            found.append(self._logit(part, i, x, logits))
        return found

    def _logit(self, part: str, i: int, x: jax.Array, channels: int = 1) -> jax.Array:
        return Conv(channels, 1, name=f"{part}_logit_{i}")(x).astype(jnp.float32)
