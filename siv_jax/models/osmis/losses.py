"""The losses: the content branch tells the classes apart, the other parts real from fake as in SIV-GAN."""

import jax
import jax.numpy as jnp

from siv_jax.nn.two_branch import losses
from siv_jax.nn.two_branch.losses import Logits
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


def by_part(logits: Logits, kinds: dict, of_classes, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    """Adversarial loss by part, weighted.

    Args:
      kinds: one of those in `gan_losses`.
      of_classes: `class_loss` with its weights or `fake_class_loss`, for the content branch.
    """
    content = logits["content"]
    rest = {part: maps for part, maps in logits.items() if part != "content"}
    weight = losses.part_weight("content", len(content), config, num_blocks_d)
    adversarial = losses.by_part(rest, kinds, config, num_blocks_d)
    return adversarial | {"content": weight * sum(map(of_classes, content))}
