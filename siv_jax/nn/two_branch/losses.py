"""Adversarial losses per discriminator part and the diversity regularization (paper, Sec. 3)."""

import jax
import jax.numpy as jnp

from siv_jax.nn.two_branch.settings import LossConfig

Logits = dict[str, list[jax.Array]]

# zCR: standard deviation of the latent's perturbation (Zhao et al., 2021).
ZCR_NOISE = 0.05
# Rotations of a batch that are compared one by one; more of them in a loop.
_MOST_UNROLLED = 4


def part_weight(part: str, num_blocks: int, config: LossConfig, num_blocks_d: int) -> float:
    """Weight of each block's loss in `part`, which has `num_blocks` blocks.

    balance "paper": eq. 1 takes the mean over a part's blocks, eq. 3 adds content + layout + 2 low-level.
    balance "as_run": sums over blocks with 0.5 / N_D (content, layout) and 1 / N_D (low-level). The trunk of
    the ablation without branches weighs as much as both branches together.
    """
    if part == "low_level" and not config.low_level:
        return 0.0
    share = 1.0 if part in ("content", "layout") else 2.0
    return share / num_blocks if config.balance == "paper" else 0.5 * share / num_blocks_d


def by_part(logits: Logits, kinds: dict, config: LossConfig, num_blocks_d: int) -> dict[str, jax.Array]:
    """Adversarial loss by part, weighted; `kinds` is one of those in `gan_losses`."""
    per_position, losses = kinds[config.adversarial], {}
    for part, maps in logits.items():
        weight = part_weight(part, len(maps), config, num_blocks_d)
        losses[part] = weight * sum(jnp.mean(per_position(logit)) for logit in maps)
    return losses


def pairwise_l1(x: jax.Array) -> jax.Array:
    """Mean over all unordered pairs of samples of the mean absolute difference; x [B, ...] -> scalar.

    Compares x with its own rotations along the batch, so that no pair is ever stored.
    """
    return _over_pairs(lambda shift: _mean_abs(x - jnp.roll(x, shift, axis=0)), x.shape[0])


def latent_ratio(images: jax.Array, z: jax.Array) -> jax.Array:
    """DS (Yang et al., 2019): mean over pairs of the image's over the latent's mean absolute difference.

    Without its upper bound: images end at -1 and 1, so the ratio is bounded by the latents alone.
    """

    def ratio(shift):
        distance = _mean_abs(z - jnp.roll(z, shift, axis=0))
        return _mean_abs(images - jnp.roll(images, shift, axis=0)) / (distance + 1e-8)

    return _over_pairs(ratio, z.shape[0])


def diversity(
    images: list[jax.Array],
    features: list[jax.Array],
    z: jax.Array,
    perturbed: jax.Array | None,
    config: LossConfig,
) -> jax.Array:
    """What the generator maximises with weight lambda (eq. 5), before lambda.

    Args:
      images, features: the generator's outputs for z, coarse to fine.
      z: [B, noise_dim].
      perturbed: for zcr, the finest images of slightly moved latents; else None.
      config: `diversity` chooses the row of Table 4, `diversity_scale` its scale.

    Returns:
      Scalar. Scale "paper" is eq. 4, the mean over layers and pairs. As run the sum over pairs and layers is
      multiplied by 2 / (L (L - 1)) with L the number of layers: B (B - 1) / (L - 1) times the mean. The other
      rows of Table 4 take the same factor, so that lambda means the same for all. Scale "relative" is as run with
      each layer over the mean of its absolute values, so that features which only grow gain nothing.
    """
    if config.diversity == "feature":
        units = [_magnitude(layer) if config.diversity_scale == "relative" else 1.0 for layer in features]
        value = sum(pairwise_l1(layer) / unit for layer, unit in zip(features, units, strict=True)) / len(features)
    elif config.diversity == "image":
        value = pairwise_l1(images[-1])
    elif config.diversity == "ds":
        value = latent_ratio(images[-1], z)
    elif config.diversity == "zcr":
        value = jnp.mean(jnp.square(images[-1] - perturbed))
    else:
        return jnp.float32(0.0)
    batch = z.shape[0]
    return value if config.diversity_scale == "paper" else value * (batch * (batch - 1) / (len(features) - 1))


def _magnitude(layer: jax.Array) -> jax.Array:
    return jnp.mean(jnp.abs(layer)) + 1e-3


def _mean_abs(x: jax.Array) -> jax.Array:
    return jnp.mean(jnp.abs(x), axis=tuple(range(1, x.ndim)))


def _over_pairs(distance_at, batch: int) -> jax.Array:
    """Mean over unordered pairs, where distance_at(s) [B] compares each sample with the one s places on."""

    def at(shift):
        met_twice = 2 * shift == batch
        return jnp.sum(distance_at(shift)) * jnp.where(met_twice, jnp.float32(0.5), jnp.float32(1.0))

    if batch // 2 <= _MOST_UNROLLED:
        total = sum((at(shift) for shift in range(1, batch // 2 + 1)), jnp.float32(0.0))
    else:  # the gradient computes each difference again, or all of them would be kept
        add = jax.checkpoint(lambda total, shift: (total + at(shift), None))
        total, _ = jax.lax.scan(add, jnp.float32(0.0), jnp.arange(1, batch // 2 + 1))
    return total / (batch * (batch - 1) / 2)
