"""The objectives of both players as functions of their parameter vectors."""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config
from siv_jax.nn import gan_losses, image_augment
from siv_jax.nn.two_branch import feature_augment, losses
from siv_jax.nn.two_branch.objectives import discriminator_total, diversity_of, generator_total, pyramid
from siv_jax.nn.two_branch.plan import Plan


@struct.dataclass
class Draws:
    """All that is random in one step with a batch of B. Normal and uniform float32."""

    z_g: jax.Array  # [B, noise_dim] latents of the generator's turn
    z_d: jax.Array  # [B, noise_dim] latents of the discriminator's turn
    z_moved: jax.Array  # [B, noise_dim] perturbation of z_g, for zCR
    warp_g: jax.Array  # [B, image_augment.UNIFORMS] of the fakes in the generator's turn
    warp_d: jax.Array  # [2B, image_augment.UNIFORMS] of reals and fakes in the discriminator's turn
    mix_content: jax.Array  # [B, C + 4] feature augmentation of the reals
    mix_layout: jax.Array  # [B, 5]
    frames: jax.Array  # [N] order in which frames are chosen


class Players:
    """The generator and the discriminator with what each of them minimises.

    Attributes:
      generator, discriminator: networks.
    """

    def __init__(self, plan: Plan, config: Config, dtype: jnp.dtype):
        """`config.batch_size` is the batch of one call; `dtype` is that of the networks' arithmetic."""
        self._plan, self._config = plan, config
        self.generator = network.generator(plan, config.model, dtype)
        self.discriminator = network.discriminator(plan, config.model, dtype)

    def generator_objective(self, params_g, params_d, vectors_g, vectors_d, draws: Draws, weight: jax.Array | float):
        """Loss of the generator, adversarial minus `weight` (lambda) times diversity (eq. 5), and its metrics."""
        plan, config = self._plan, self._config
        images, features = self.generator.apply(params_g, vectors_g, draws.z_g)
        fakes = augment(draws.warp_g, images[-plan.num_blocks_low_level :], config.augment.image)
        logits = self.discriminator.apply(params_d, vectors_d, fakes)
        parts = losses.by_part(logits, gan_losses.GENERATOR, config.loss, plan.num_blocks_d)
        diversity = diversity_of(self.generator, params_g, vectors_g, images, features, draws, config.loss)
        return generator_total(parts, diversity, weight)

    def discriminator_objective(self, params_d, params_g, vectors_g, vectors_d, reals, draws: Draws):
        """Loss of the discriminator and its metrics; reals [B, H, W, C] and fakes share one pass."""
        plan, config, batch = self._plan, self._config, self._config.batch_size
        images, _ = self.generator.apply(params_g, vectors_g, draws.z_d)
        scales = zip(pyramid(reals, plan.num_blocks_low_level), images[-plan.num_blocks_low_level :], strict=True)
        both = augment(draws.warp_d, [jnp.concatenate(scale) for scale in scales], config.augment.image)
        logits = self.discriminator.apply(params_d, vectors_d, both, **self._mixes(draws))
        real = {part: [logit[:batch] for logit in maps] for part, maps in logits.items()}
        fake = {part: [logit[batch:] for logit in maps] for part, maps in logits.items()}
        loss_real = losses.by_part(real, gan_losses.REAL, config.loss, plan.num_blocks_d)
        loss_fake = losses.by_part(fake, gan_losses.FAKE, config.loss, plan.num_blocks_d)
        return discriminator_total(loss_real, loss_fake, real, fake)

    def _mixes(self, draws: Draws) -> dict:
        """Feature augmentation of the reals, which come first in the batch; the fakes stay as they are."""
        probability, batch = self._config.augment.feature, self._config.batch_size
        if probability == 0 or batch == 1:
            return {}

        def mix(function, uniform, features):
            mixed = function(uniform, features[:batch], probability)
            return jnp.concatenate([mixed, features[batch:]])

        return {
            "mix_content": functools.partial(mix, feature_augment.augment_content, draws.mix_content),
            "mix_layout": functools.partial(mix, feature_augment.augment_layout, draws.mix_layout),
        }


def augment(uniform: jax.Array, scales: list[jax.Array], probability: float) -> list[jax.Array]:
    """One geometric transform per sample over all its scales, coarse to fine; see `image_augment.draw`."""
    if probability == 0:
        return scales
    maps = image_augment.draw(uniform, probability, *scales[-1].shape[1:3])
    return [image_augment.warp(images, maps) for images in scales]
