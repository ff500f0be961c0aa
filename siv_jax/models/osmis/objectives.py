"""The objectives of both players as functions of their parameter vectors."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.osmis import layout_augment, losses, networks, pair_augment
from siv_jax.models.osmis.config import Config
from siv_jax.nn import gan_losses
from siv_jax.nn.two_branch.feature_augment import augment_content
from siv_jax.nn.two_branch.objectives import discriminator_total, diversity_of, generator_total, pyramid


@struct.dataclass
class Draws:
    """All that is random in one step with a batch of B, masks of M classes and F(x) of h x w cells and C channels.

    Normal (z) and uniform float32.
    """

    z_g: jax.Array  # [B, noise_dim] latents of the generator's turn
    z_d: jax.Array  # [B, noise_dim] latents of the discriminator's turn
    z_moved: jax.Array  # [B, noise_dim] perturbation of z_g, for zCR
    decisions: jax.Array  # [3, pair_augment.DECISIONS] of the fakes in the generator's turn, of the reals, of the fakes
    warp: jax.Array  # [3, B, pair_augment.PLACES]
    bernoulli: jax.Array  # [2, B, h, w, M] of fakes in the generator's turn and in the discriminator's
    mix_content: jax.Array  # [B, C + 4] feature augmentation of the reals
    mix_layout: jax.Array  # [B, layout_augment.uniforms(M)]
    frames: jax.Array  # [N] order in which frames are chosen
    by_chance: jax.Array  # bool [], whether fake masks are hardened at random, as they are in the first steps


class Pairs(NamedTuple):
    """images float32 [B, H, W, C] in [-1, 1]; masks float32 [B, H, W, M]."""

    images: jax.Array
    masks: jax.Array


class Players:
    """The generator and the discriminator with what each of them minimises.

    Attributes:
      generator, discriminator: networks.
    """

    def __init__(self, plan: networks.Plan, config: Config, dtype: jnp.dtype):
        """`config.batch_size` is the batch of one call; `dtype` is that of the networks' arithmetic."""
        self._plan, self._config = plan, config
        self.generator = networks.make_generator(plan, config.model, dtype)
        self.discriminator = networks.make_discriminator(plan, config.model, dtype)

    def generator_objective(self, params_g, params_d, vectors_g, vectors_d, draws: Draws, weight: jax.Array | float):
        """Loss of the generator, adversarial minus `weight` (lambda) times diversity (eq. 5), and its metrics."""
        images, features, soft = self.generator.apply(params_g, vectors_g, draws.z_g)
        fakes, soft = self._augmented(draws, 0, self._seen(images), soft)
        hard = self._hardened(draws, 0, soft)
        logits = self.discriminator.apply(params_d, vectors_d, fakes, hard)
        of_classes = functools.partial(losses.class_loss, weights=losses.class_weights(soft))
        loss, num_blocks_d = self._config.loss, self._plan.num_blocks_d
        parts = losses.by_part(logits, gan_losses.GENERATOR, of_classes, loss, num_blocks_d)
        diversity = diversity_of(self.generator, params_g, vectors_g, images, features, draws, self._config.loss)
        return generator_total(parts, diversity, weight)

    def discriminator_objective(self, params_d, params_g, vectors_g, vectors_d, reals: Pairs, draws: Draws):
        """Loss of the discriminator and its metrics; reals and fakes share one pass."""
        plan, config = self._plan, self._config
        images, _, soft = self.generator.apply(params_g, vectors_g, draws.z_d)
        fakes, soft = self._augmented(draws, 2, self._seen(images), soft)
        scales = pyramid(reals.images, plan.num_blocks_low_level)
        scales, masks = self._augmented(draws, 1, scales, reals.masks)
        small = networks.nearest(masks, networks.feature_size(plan))
        both = [jnp.concatenate(pair) for pair in zip(scales, fakes, strict=True)]
        mask = jnp.concatenate([small, self._hardened(draws, 2, soft)])
        logits = self.discriminator.apply(params_d, vectors_d, both, mask, **self._mixes(draws, small))
        real, fake = self._apart(logits, 0), self._apart(logits, 1)
        of_classes = functools.partial(losses.class_loss, weights=losses.class_weights(masks))
        loss_real = losses.by_part(real, gan_losses.REAL, of_classes, config.loss, plan.num_blocks_d)
        loss_fake = losses.by_part(fake, gan_losses.FAKE, losses.fake_class_loss, config.loss, plan.num_blocks_d)
        del real["content"], fake["content"]  # their logits are of classes: a mean says nothing
        return discriminator_total(loss_real, loss_fake, real, fake)

    def _seen(self, images: list[jax.Array]) -> list[jax.Array]:
        """The scales that the discriminator sees."""
        return images[-self._plan.num_blocks_low_level :]

    def _augmented(self, draws: Draws, turn: int, scales: list[jax.Array], mask: jax.Array):
        probability = self._config.augment.image
        if probability == 0:
            return scales, mask
        return pair_augment.augment(draws.decisions[turn], draws.warp[turn], scales, mask, probability)

    def _hardened(self, draws: Draws, turn: int, soft: jax.Array) -> jax.Array:
        soft = networks.nearest(soft, networks.feature_size(self._plan))
        return hardened(soft, draws.bernoulli[turn // 2], draws.by_chance)

    def _mixes(self, draws: Draws, small: jax.Array) -> dict:
        """Feature augmentation of the reals, which come first in the batch; the fakes stay as they are.

        Of the content the background's vectors alone are mixed: objects stay as they are.
        """
        probability, batch = self._config.augment.feature, self._config.batch_size
        if probability == 0 or batch == 1:
            return {}

        def mixed(function, features):
            return jnp.concatenate([function(features[:batch]), features[batch:]])

        content = functools.partial(augment_content, draws.mix_content, probability=probability)
        layout = functools.partial(layout_augment.augment_layout, draws.mix_layout, mask=small, probability=probability)
        return {
            "mix_content": lambda features: mixed(lambda own: content(content=own), features),
            "mix_layout": lambda features: mixed(lambda own: layout(features=own), features),
        }

    def _apart(self, logits: dict[str, list[jax.Array]], half: int) -> dict[str, list[jax.Array]]:
        """The logits of the reals (half 0) or of the fakes (1)."""
        batch, classes = self._config.batch_size, self._plan.num_classes
        part = slice(half * batch, (half + 1) * batch)

        def of_classes(logit):
            own = logit.reshape(classes, 2 * batch, *logit.shape[1:])[:, part]
            return own.reshape(classes * batch, *logit.shape[1:])

        return {
            name: [of_classes(logit) if name == "content" else logit[part] for logit in maps]
            for name, maps in logits.items()
        }


def hardened(soft: jax.Array, uniform: jax.Array, by_chance: jax.Array) -> jax.Array:
    """A fake mask [B, h, w, M] of zeros and ones, with the gradient of the soft one (straight-through).

    Args:
      uniform: in [0, 1), of the same shape.
      by_chance: bool []; each class of each pixel is 1 with its probability, held within 0.001 to 0.999, so that a
        pixel may have several classes or none; else the likeliest class is 1.
    """
    likeliest = jax.nn.one_hot(jnp.argmax(soft, -1), soft.shape[-1])
    drawn = (uniform < jnp.clip(soft, 0.001, 0.999)).astype(soft.dtype)
    hard = jnp.where(by_chance, drawn, likeliest)
    return hard - jax.lax.stop_gradient(soft) + soft
