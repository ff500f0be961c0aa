"""The two networks of OSMIS: SIV-GAN's, with masks."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.osmis.config import ModelConfig
from siv_jax.nn.two_branch import discriminator, generator, plan
from siv_jax.nn.two_branch.blocks import Conv
from siv_jax.nn.two_branch.losses import Logits
from siv_jax.nn.two_branch.network import Network, image_shapes, network

Mix = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Plan(plan.Plan):
    """Shapes of one model. `num_classes`, at least 2, counts the background, class 0."""

    num_classes: int


class Generator(generator.Generator):
    """z -> images and features at each of the plan's scales, and a mask at the finest."""

    plan: Plan

    @nn.compact
    def __call__(self, z: jax.Array) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
        """As SIV-GAN's, and the mask float32 [B, H, W, M]: probabilities of the classes.

        The mask's head, a 3x3 convolution of the last block's output, has no spectral norm (as run).
        """
        images, features, last = self.scales(z)
        mask = Conv(self.plan.num_classes, name="to_mask")(last)
        return images, features, jax.nn.softmax(mask.astype(jnp.float32), axis=-1)


class Discriminator(discriminator.Parts):
    """Images at the finest N_ll scales and their mask -> a logit map after every block of every part."""

    plan: Plan

    @nn.compact
    def __call__(
        self, images: list[jax.Array], mask: jax.Array, mix_content: Mix | None = None, mix_layout: Mix | None = None
    ) -> Logits:
        """Logits of every block, by part.

        Args:
          images: N_ll arrays float32 [B, h, w, c] in [-1, 1], coarse to fine, each side half of the next one's.
          mask: float32 [B, h, w, M] at the size of F(x), see `feature_size`. Only the content branch sees it: it gets
            F(x) times each class, averaged over the whole map, so that a vector grows with its class's area.
          mix_content, mix_layout: feature augmentation, applied to the inputs of the two branches: [M B, 1, 1, C], the
            row of class c and sample b being c B + b, and F(x) [B, h, w, C]; None: no augmentation.

        Returns:
          {"low_level": [...], "content": [...], "layout": [...]}, lists of float32 [B, h, w, 1]; those of content are
          [M B, 1, 1, M + 1], logits of "real of class 0" to "real of class M - 1", and of "fake".
        """
        widths = content_widths(self.plan, self.model)
        x, low_level = self.low_level(images, widths)
        deep = widths[self.plan.num_blocks_low_level + 1 :]
        classes = self.plan.num_classes
        content = jnp.einsum("bhwc,bhwm->mbc", x, mask.astype(x.dtype)) / (x.shape[1] * x.shape[2])
        content = content.reshape(-1, 1, 1, x.shape[-1])
        content = mix_content(content) if mix_content else content
        layout = mix_layout(x) if mix_layout else x
        return {
            "low_level": low_level,
            "content": self.branch("content", content, deep, classes + 1, kernel_size=1, pool=False),
            "layout": self.branch("layout", layout, [1] * len(deep)),
        }


def content_widths(plan: Plan, model: ModelConfig) -> list[int]:
    """SIV-GAN's channels, those of the content branch's blocks but the last doubled (as run)."""
    widths = discriminator.widths(plan, model)
    first, last = plan.num_blocks_low_level + 1, plan.num_blocks_d
    return [width * (2 if first <= i < last else 1) for i, width in enumerate(widths)]


def feature_size(plan: Plan) -> tuple[int, int]:
    """(height, width) of F(x)."""
    height, width = plan.height, plan.width
    for _ in range(plan.num_blocks_low_level):
        height, width = max(height // 2, 1), max(width // 2, 1)
    return height, width


def nearest(mask: jax.Array, size: tuple[int, int]) -> jax.Array:
    """mask [B, H, W, M] at a smaller `size`: each cell takes its first pixel's (as run)."""
    rows, columns = (np.arange(to) * of // to for to, of in zip(size, mask.shape[1:3], strict=True))
    return mask[:, rows][:, :, columns]


def make_generator(plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32) -> Network:
    """The generator; it takes z [B, noise_dim]."""
    return network(Generator(plan, model, dtype), jax.ShapeDtypeStruct((1, model.noise_dim), jnp.float32))


def make_discriminator(plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32) -> Network:
    """The discriminator; it takes images at its low-level scales and a mask at the size of F(x)."""
    mask = jax.ShapeDtypeStruct((1, *feature_size(plan), plan.num_classes), jnp.float32)
    return network(Discriminator(plan, model, dtype), image_shapes(plan), mask)
