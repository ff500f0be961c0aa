"""The discriminator: low-level blocks, then a content branch and a layout branch (paper, Sec. 3.1)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.models.siv_gan.blocks import Conv, DiscriminatorBlock
from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.plan import Plan

# Channel multipliers from the full resolution down; N_D blocks use the first N_D + 1.
_WIDTHS = (1, 2, 4, 8, 8, 8, 8, 8, 8)

Mix = Callable[[jax.Array], jax.Array]
Logits = dict[str, list[jax.Array]]


def content_channels(plan: Plan, model: ModelConfig) -> int:
    """Channels of F(x), which both branches read."""
    return _WIDTHS[plan.num_blocks_low_level] * model.ch_d


class Discriminator(nn.Module):
    """Images at the finest N_ll scales -> a logit map after every block of every part.

    dtype: of the arithmetic; parameters are float32.
    """

    plan: Plan
    model: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: list[jax.Array], mix_content: Mix | None = None, mix_layout: Mix | None = None
    ) -> Logits:
        """Logits of every block, by part.

        Args:
          images: N_ll arrays float32 [B, h, w, c] in [-1, 1], coarse to fine, each side half of the next one's.
          mix_content, mix_layout: feature augmentation, applied to the inputs of the two branches,
            [B, 1, 1, C] and F(x) [B, h, w, C]; None: no augmentation.

        Returns:
          {"low_level": [...], "content": [...], "layout": [...]} or, for branches "none", {"low_level": [...],
          "trunk": [...]}; each entry a list of float32 [B, h, w, 1].
        """
        branches = self.model.branches
        widths = [width * self.model.ch_d for width in _WIDTHS[: self.plan.num_blocks_d + 1]]
        x, low_level = self._low_level([image.astype(self.dtype) for image in images], widths)
        logits = {"low_level": low_level}
        deep_widths = widths[self.plan.num_blocks_low_level + 1 :]
        if branches == "none":
            logits["trunk"] = self._part("trunk", x, deep_widths)
        if branches in ("both", "content"):
            content = jnp.mean(x, axis=(1, 2), keepdims=True)
            content = mix_content(content) if mix_content else content
            logits["content"] = self._part("content", content, deep_widths, kernel_size=1, pool=False)
        if branches in ("both", "layout"):
            layout = mix_layout(x) if mix_layout else x
            logits["layout"] = self._part("layout", layout, [1] * len(deep_widths))
        return logits

    def _low_level(self, images: list[jax.Array], widths: list[int]) -> tuple[jax.Array, list[jax.Array]]:
        """F(x) and the logits on the way: each coarser image joins by concatenation (phi_lin_cat of MSG-GAN)."""
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

    def _part(self, part: str, x: jax.Array, widths: list[int], **block) -> list[jax.Array]:
        logits = []
        for i, width in enumerate(widths):
            x = DiscriminatorBlock(width, name=f"{part}_{i}", **block)(x)
            logits.append(self._logit(part, i, x))
        return logits

    def _logit(self, part: str, i: int, x: jax.Array) -> jax.Array:
        return Conv(1, 1, name=f"{part}_logit_{i}")(x).astype(jnp.float32)
