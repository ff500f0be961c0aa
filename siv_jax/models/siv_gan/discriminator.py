"""The discriminator: low-level blocks, then a content branch and a layout branch (paper, Sec. 3.1)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.nn.two_branch import discriminator
from siv_jax.nn.two_branch.losses import Logits

Mix = Callable[[jax.Array], jax.Array]


class Discriminator(discriminator.Parts):
    """Images at the finest N_ll scales -> a logit map after every block of every part."""

    model: ModelConfig

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
        branches, widths = self.model.branches, discriminator.widths(self.plan, self.model)
        x, low_level = self.low_level(images, widths)
        logits = {"low_level": low_level}
        deep_widths = widths[self.plan.num_blocks_low_level + 1 :]
        if branches == "none":
            logits["trunk"] = self.branch("trunk", x, deep_widths)
        if branches in ("both", "content"):
            content = jnp.mean(x, axis=(1, 2), keepdims=True)
            content = mix_content(content) if mix_content else content
            logits["content"] = self.branch("content", content, deep_widths, kernel_size=1, pool=False)
        if branches in ("both", "layout"):
            layout = mix_layout(x) if mix_layout else x
            logits["layout"] = self.branch("layout", layout, [1] * len(deep_widths))
        return logits
