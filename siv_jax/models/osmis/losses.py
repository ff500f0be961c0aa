"""The losses: the content branch tells the classes apart, the other parts real from fake as in SIV-GAN."""

import jax
import jax.numpy as jnp

from siv_jax.nn import gan_losses
from siv_jax.nn.two_branch.losses import Logits, by_part, part_weight
from siv_jax.nn.two_branch.settings import LossConfig


def class_weights(mask: jax.Array) -> jax.Array:
    """1 over the area of each class, float32 [M], 0 where it has none: rare classes weigh more.

    Only ratios matter. On several devices each weighs by its own share of the batch.

    Args:
      mask: float32 [B, H, W, M] at full resolution, soft; it gets no gradient.
    """
    area = jax.lax.stop_gradient(jnp.sum(mask, axis=(0, 1, 2)))
    return jnp.where(area > 0, 1.0 / jnp.where(area > 0, area, 1.0), 0.0)


def class_loss(logits: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted mean cross-entropy of logits [M B, 1, 1, M + 1], row c B + b being of class c and weighted so."""
    count = len(weights)
    log_p = jax.nn.log_softmax(logits[:, 0, 0]).reshape(count, -1, count + 1)
    own = jnp.stack([jnp.mean(log_p[c, :, c]) for c in range(count)])
    return -jnp.sum(weights * own) / jnp.sum(weights)


def fake_class_loss(logits: jax.Array) -> jax.Array:
    """Mean cross-entropy of logits [M B, 1, 1, M + 1] that should say "fake", the last class."""
    return -jnp.mean(jax.nn.log_softmax(logits[:, 0, 0])[:, -1])


def generator_loss(logits: Logits, weights: jax.Array, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    """Adversarial loss of the generator by part, weighted; `logits` of fakes, `weights` of their masks' classes."""
    return _all_parts(logits, gan_losses.GENERATOR, lambda one: class_loss(one, weights), config, num_blocks_d)


def real_loss(logits: Logits, weights: jax.Array, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    """Loss of the discriminator on real samples by part, weighted; `weights` of their masks' classes."""
    return _all_parts(logits, gan_losses.REAL, lambda one: class_loss(one, weights), config, num_blocks_d)


def fake_loss(logits: Logits, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    """Loss of the discriminator on fakes by part, weighted."""
    return _all_parts(logits, gan_losses.FAKE, fake_class_loss, config, num_blocks_d)


def _all_parts(logits: Logits, binary, of_classes, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    content = logits["content"]
    rest = {part: maps for part, maps in logits.items() if part != "content"}
    weight = part_weight("content", len(content), config, num_blocks_d)
    losses = by_part(rest, binary[config.adversarial], config, num_blocks_d)
    return losses | {"content": weight * sum(map(of_classes, content))}
