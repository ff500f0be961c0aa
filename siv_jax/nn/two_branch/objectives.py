"""What the objectives of such models have in common."""

from typing import Any

import jax
import jax.numpy as jnp

from siv_jax.nn.convolution import avg_pool2d
from siv_jax.nn.two_branch import losses
from siv_jax.nn.two_branch.losses import Logits
from siv_jax.nn.two_branch.network import Network
from siv_jax.nn.two_branch.settings import LossConfig


def pyramid(images: jax.Array, levels: int) -> list[jax.Array]:
    """`images` [B, H, W, C] at `levels` scales, coarse to fine: repeated bilinear halving of even sides."""
    scales = [images]
    for _ in range(levels - 1):
        scales.append(avg_pool2d(scales[-1]))
    return scales[::-1]


def generator_total(
    parts: dict[str, jax.Array], diversity: jax.Array, weight: jax.Array | float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of the generator, adversarial minus `weight` (lambda) times diversity (eq. 5), and its metrics."""
    total = sum(parts.values()) - weight * diversity
    metrics = {"loss_g": total, "diversity": diversity}
    return total, metrics | {f"loss_g/{part}": value for part, value in parts.items()}


def discriminator_total(
    loss_real: dict[str, jax.Array], loss_fake: dict[str, jax.Array], real: Logits, fake: Logits
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of the discriminator and its metrics; mean logits of the parts in `real` and `fake`."""
    total = sum(loss_real.values()) + sum(loss_fake.values())
    metrics = {"loss_d": total}
    for part in loss_real:
        metrics[f"loss_d_real/{part}"] = loss_real[part]
        metrics[f"loss_d_fake/{part}"] = loss_fake[part]
    for part in real:
        metrics[f"logit_real/{part}"] = sum(map(jnp.mean, real[part])) / len(real[part])
        metrics[f"logit_fake/{part}"] = sum(map(jnp.mean, fake[part])) / len(fake[part])
    return total, metrics


def diversity_of(
    generator: Network,
    params_g,
    vectors_g,
    images: list[jax.Array],
    features: list[jax.Array],
    draws: Any,
    config: LossConfig,
) -> jax.Array:
    """See `losses.diversity`; `images` and `features` were made of draws.z_g."""
    perturbed = None
    if config.diversity == "zcr":
        moved = draws.z_g + losses.ZCR_NOISE * draws.z_moved
        perturbed = generator.apply(params_g, vectors_g, moved)[0][-1]
    return losses.diversity(images, features, draws.z_g, perturbed, config)
