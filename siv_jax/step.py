"""One training step as a pure function: the generator's turn, then the discriminator's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from siv_jax import losses
from siv_jax.augment import image as image_augment
from siv_jax.config import Config
from siv_jax.geometry import Plan
from siv_jax.models import spectral_norm
from siv_jax.models.discriminator import make_discriminator
from siv_jax.models.generator import make_generator
from siv_jax.ops.convolution import avg_pool2d
from siv_jax.state import TrainState, make_optimizer, optimizer_step

Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, jax.Array], tuple[TrainState, Metrics]]


def make_train_step(
    plan: Plan, config: Config, dtype: jnp.dtype = jnp.float32, axis_name: str | None = None
) -> Step:
    """The step of a run: `step(state, frames) -> (state, metrics)`.

    frames are [N, H, W, C], uint8 or float32 in [-1, 1], at the plan's resolution. metrics are float32
    scalars: losses by part, mean logits, and "finite", 1 where every loss is finite and else 0.

    Args:
      plan: shapes of the networks.
      config: of the run; `batch_size` is the batch of one call of the step.
      dtype: of the networks' arithmetic; losses, parameters and spectral norm are float32.
      axis_name: mapped axis over which gradients and metrics are averaged; each of its indices draws its own
        randomness.
    """
    optimizers = [make_optimizer(lr, config.optim) for lr in (config.optim.lr_g, config.optim.lr_d)]
    generator_objective = make_generator_objective(plan, config, dtype)
    discriminator_objective = make_discriminator_objective(plan, config, dtype)

    def step(state: TrainState, frames: jax.Array) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        key_g, key_d, key_frames = jax.random.split(key, 3)
        # As run every forward pass iterates the spectral norm; once per step is enough (method).
        vectors_g = spectral_norm.power_step(state.params_g, state.vectors_g)
        vectors_d = spectral_norm.power_step(state.params_d, state.vectors_d)
        vectors = (vectors_g, vectors_d)

        grads_g, metrics_g = jax.grad(generator_objective, has_aux=True)(
            state.params_g, state.params_d, vectors, key_g
        )
        params_g, opt_g = optimizer_step(optimizers[0], _averaged(grads_g, axis_name), state.opt_g, state.params_g)

        reals = to_float(choose_frames(key_frames, frames, config.batch_size))
        grads_d, metrics_d = jax.grad(discriminator_objective, has_aux=True)(
            state.params_d, params_g, vectors, reals, key_d
        )
        params_d, opt_d = optimizer_step(optimizers[1], _averaged(grads_d, axis_name), state.opt_d, state.params_d)

        decay = ema_decay(state.step, config.ema.decay, config.ema.warmup)
        ema = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), state.ema, params_g)
        metrics = metrics_g | metrics_d
        metrics["finite"] = jnp.isfinite(metrics["loss_g"] + metrics["loss_d"]).astype(jnp.float32)
        return TrainState(
            step=state.step + 1,
            key=state.key,
            params_g=params_g,
            params_d=params_d,
            ema=ema,
            opt_g=opt_g,
            opt_d=opt_d,
            vectors_g=vectors_g,
            vectors_d=vectors_d,
        ), _averaged(metrics, axis_name)

    return step


def make_generator_objective(plan: Plan, config: Config, dtype: jnp.dtype):
    """Loss of the generator: adversarial minus lambda times diversity (eq. 5), and its metrics."""
    generator, discriminator = _networks(plan, config, dtype)

    def objective(params_g, params_d, vectors, key):
        key_z, key_warp, key_zcr = jax.random.split(key, 3)
        z = jax.random.normal(key_z, (config.batch_size, config.model.noise_dim))
        weights_g = {"params": spectral_norm.normalize(params_g, vectors[0])}
        images, features = generator.apply(weights_g, z)
        fakes = _augment(key_warp, images[-plan.num_blocks_low_level :], config)
        weights_d = {"params": spectral_norm.normalize(params_d, vectors[1])}
        logits = discriminator.apply(weights_d, fakes)
        parts = losses.generator_loss(logits, config.loss, plan.num_blocks_d)
        perturbed = None
        if config.loss.diversity == "zcr":
            moved = z + losses.ZCR_NOISE * jax.random.normal(key_zcr, z.shape)
            perturbed = generator.apply(weights_g, moved)[0][-1]
        diversity = losses.diversity(images, features, z, perturbed, config.loss)
        total = sum(parts.values()) - config.loss.diversity_weight * diversity
        metrics = {"loss_g": total, "diversity": diversity}
        return total, metrics | {f"loss_g/{part}": value for part, value in parts.items()}

    return objective


def make_discriminator_objective(plan: Plan, config: Config, dtype: jnp.dtype):
    """Loss of the discriminator on reals and fakes, and its metrics. Real and fake share one pass."""
    generator, discriminator = _networks(plan, config, dtype)

    def objective(params_d, params_g, vectors, reals, key):
        key_z, key_warp, key_feature = jax.random.split(key, 3)
        z = jax.random.normal(key_z, (config.batch_size, config.model.noise_dim))
        images, _ = generator.apply({"params": spectral_norm.normalize(params_g, vectors[0])}, z)
        fakes = images[-plan.num_blocks_low_level :]
        pairs = zip(pyramid(reals, plan.num_blocks_low_level), fakes, strict=True)
        both = _augment(key_warp, [jnp.concatenate(pair) for pair in pairs], config)
        weights_d = {"params": spectral_norm.normalize(params_d, vectors[1])}
        logits = discriminator.apply(
            weights_d, both, key_feature, config.augment.feature, num_real=config.batch_size
        )
        logits_real = {part: [m[: config.batch_size] for m in maps] for part, maps in logits.items()}
        logits_fake = {part: [m[config.batch_size :] for m in maps] for part, maps in logits.items()}
        loss_real = losses.real_loss(logits_real, config.loss, plan.num_blocks_d)
        loss_fake = losses.fake_loss(logits_fake, config.loss, plan.num_blocks_d)
        total = sum(loss_real.values()) + sum(loss_fake.values())
        metrics = {"loss_d": total}
        for part in logits:
            metrics[f"loss_d_real/{part}"] = loss_real[part]
            metrics[f"loss_d_fake/{part}"] = loss_fake[part]
            metrics[f"logit_real/{part}"] = sum(map(jnp.mean, logits_real[part])) / len(logits_real[part])
            metrics[f"logit_fake/{part}"] = sum(map(jnp.mean, logits_fake[part])) / len(logits_fake[part])
        return total, metrics

    return objective


def choose_frames(key: jax.Array, frames: jax.Array, batch: int) -> jax.Array:
    """`batch` frames of `frames` [N, ...] at random: different ones if there are enough."""
    count = frames.shape[0]
    if count == 1:
        return jnp.broadcast_to(frames, (batch, *frames.shape[1:]))
    if count >= batch:
        return frames[jnp.argsort(jax.random.uniform(key, (count,)))[:batch]]
    return frames[jax.random.randint(key, (batch,), 0, count)]


def to_float(frames: jax.Array) -> jax.Array:
    """uint8 0..255 to float32 -1..1; float frames pass as they are."""
    return frames.astype(jnp.float32) / 127.5 - 1.0 if frames.dtype == jnp.uint8 else frames


def pyramid(images: jax.Array, levels: int) -> list[jax.Array]:
    """`images` [B, H, W, C] at `levels` scales, coarse to fine: repeated bilinear halving of even sides."""
    scales = [images]
    for _ in range(levels - 1):
        scales.append(avg_pool2d(scales[-1]))
    return scales[::-1]


def ema_decay(step: jax.Array, decay: float, warmup: bool) -> jax.Array:
    """Decay of the average after `step` completed steps: with warm-up min(decay, (1 + t) / (10 + t))."""
    if not warmup:
        return jnp.float32(decay)
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def _augment(key: jax.Array, scales: list[jax.Array], config: Config) -> list[jax.Array]:
    if config.augment.image == 0:
        return scales
    batch, height, width, _ = scales[-1].shape
    maps = image_augment.draw(key, batch, config.augment.image, height, width)
    return [image_augment.warp(images, maps) for images in scales]


def _networks(plan: Plan, config: Config, dtype: jnp.dtype):
    return make_generator(plan, config.model, dtype), make_discriminator(plan, config.model, dtype)


def _averaged(tree, axis_name: str | None):
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
