"""One training step as a pure function: the generator's turn, then the discriminator's."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.config import Config
from siv_jax.models.siv_gan import feature_augment, losses
from siv_jax.models.siv_gan.discriminator import content_channels, logit_parts, make_discriminator
from siv_jax.models.siv_gan.generator import make_generator
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import (
    Layouts,
    TrainState,
    discriminator_shapes,
    generator_shapes,
    make_optimizer,
    optimizer_step,
)
from siv_jax.nn import image_augment, spectral_norm
from siv_jax.nn.convolution import avg_pool2d

Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, jax.Array], tuple[TrainState, Metrics]]


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


def metric_names(config: Config) -> list[str]:
    """Names of the metrics that a step of `config` returns."""
    by_part = ("loss_g", "loss_d_real", "loss_d_fake", "logit_real", "logit_fake")
    parts = logit_parts(config.model)
    return ["loss_g", "diversity", "loss_d", "finite", *(f"{name}/{part}" for name in by_part for part in parts)]


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
    players = Players(plan, config, dtype)
    optimizer_g = make_optimizer(config.optim.lr_g, config.optim)
    optimizer_d = make_optimizer(config.optim.lr_d, config.optim)

    def averaged(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def step(state: TrainState, frames: jax.Array) -> tuple[TrainState, Metrics]:
        key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
        key = jax.random.fold_in(key, state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        draws = draw(key, plan, config, frames.shape[0])
        # As run every forward pass iterates the spectral norm; once per step is enough (method).
        vectors_g = players.power_step_g(state.params_g, state.vectors_g)
        vectors_d = players.power_step_d(state.params_d, state.vectors_d)

        grads_g, metrics_g = jax.grad(players.generator_objective, has_aux=True)(
            state.params_g, state.params_d, vectors_g, vectors_d, draws
        )
        params_g, opt_g = optimizer_step(optimizer_g, averaged(grads_g), state.opt_g, state.params_g)

        reals = to_float(choose_frames(draws.frames, frames, config.batch_size))
        grads_d, metrics_d = jax.grad(players.discriminator_objective, has_aux=True)(
            state.params_d, params_g, vectors_g, vectors_d, reals, draws
        )
        params_d, opt_d = optimizer_step(optimizer_d, averaged(grads_d), state.opt_d, state.params_d)

        metrics = metrics_g | metrics_d
        metrics["finite"] = jnp.isfinite(metrics["loss_g"] + metrics["loss_d"]).astype(jnp.float32)
        decay = ema_decay(state.step, config.ema.decay, config.ema.warmup)
        return TrainState(
            step=state.step + 1,
            key=state.key,
            params_g=params_g,
            params_d=params_d,
            ema=params_g + decay * (state.ema - params_g),
            opt_g=opt_g,
            opt_d=opt_d,
            vectors_g=vectors_g,
            vectors_d=vectors_d,
        ), averaged(metrics)

    return step


class Players:
    """The objectives of both players as functions of their parameter vectors."""

    def __init__(self, plan: Plan, config: Config, dtype: jnp.dtype):
        self._plan, self._config = plan, config
        self._generator = make_generator(plan, config.model, dtype)
        self._discriminator = make_discriminator(plan, config.model, dtype)
        self._layouts_g = Layouts.of(generator_shapes(plan, config.model))
        self._layouts_d = Layouts.of(discriminator_shapes(plan, config.model))

    def power_step_g(self, params: jax.Array, vectors: jax.Array) -> jax.Array:
        """Spectral-norm vectors of the generator after one more power iteration."""
        return _power_step(self._layouts_g, params, vectors)

    def power_step_d(self, params: jax.Array, vectors: jax.Array) -> jax.Array:
        """Spectral-norm vectors of the discriminator after one more power iteration."""
        return _power_step(self._layouts_d, params, vectors)

    def generate(self, params: jax.Array, vectors: jax.Array, z: jax.Array):
        """Images and features of the generator, see `Generator`."""
        return self._generator.apply({"params": _normalized(self._layouts_g, params, vectors)}, z)

    def judge(self, params: jax.Array, vectors: jax.Array, images: list[jax.Array], **mixes) -> losses.Logits:
        """Logits of the discriminator, see `Discriminator`."""
        weights = {"params": _normalized(self._layouts_d, params, vectors)}
        return self._discriminator.apply(weights, images, **mixes)

    def generator_objective(self, params_g, params_d, vectors_g, vectors_d, draws: Draws):
        """Loss of the generator: adversarial minus lambda times diversity (eq. 5), and its metrics."""
        plan, config = self._plan, self._config
        images, features = self.generate(params_g, vectors_g, draws.z_g)
        fakes = augment(draws.warp_g, images[-plan.num_blocks_low_level :], config.augment.image)
        logits = self.judge(params_d, vectors_d, fakes)
        parts = losses.generator_loss(logits, config.loss, plan.num_blocks_d)
        perturbed = None
        if config.loss.diversity == "zcr":
            moved = draws.z_g + losses.ZCR_NOISE * draws.z_moved
            perturbed = self.generate(params_g, vectors_g, moved)[0][-1]
        diversity = losses.diversity(images, features, draws.z_g, perturbed, config.loss)
        total = sum(parts.values()) - config.loss.diversity_weight * diversity
        metrics = {"loss_g": total, "diversity": diversity}
        return total, metrics | {f"loss_g/{part}": value for part, value in parts.items()}

    def discriminator_objective(self, params_d, params_g, vectors_g, vectors_d, reals, draws: Draws):
        """Loss of the discriminator and its metrics; reals [B, H, W, C] and fakes share one pass."""
        plan, config, batch = self._plan, self._config, self._config.batch_size
        images, _ = self.generate(params_g, vectors_g, draws.z_d)
        scales = zip(pyramid(reals, plan.num_blocks_low_level), images[-plan.num_blocks_low_level :], strict=True)
        both = augment(draws.warp_d, [jnp.concatenate(scale) for scale in scales], config.augment.image)
        logits = self.judge(params_d, vectors_d, both, **self._mixes(draws))
        real = {part: [logit[:batch] for logit in maps] for part, maps in logits.items()}
        fake = {part: [logit[batch:] for logit in maps] for part, maps in logits.items()}
        loss_real = losses.real_loss(real, config.loss, plan.num_blocks_d)
        loss_fake = losses.fake_loss(fake, config.loss, plan.num_blocks_d)
        total = sum(loss_real.values()) + sum(loss_fake.values())
        metrics = {"loss_d": total}
        for part in logits:
            metrics[f"loss_d_real/{part}"] = loss_real[part]
            metrics[f"loss_d_fake/{part}"] = loss_fake[part]
            metrics[f"logit_real/{part}"] = sum(map(jnp.mean, real[part])) / len(real[part])
            metrics[f"logit_fake/{part}"] = sum(map(jnp.mean, fake[part])) / len(fake[part])
        return total, metrics

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


def draw(key: jax.Array, plan: Plan, config: Config, num_frames: int) -> Draws:
    """The randomness of one step, from two calls of the generator: each call costs much to compile."""
    batch, noise_dim = config.batch_size, config.model.noise_dim
    channels = content_channels(plan, config.model)
    normal = jax.random.normal(jax.random.fold_in(key, 0), (3, batch, noise_dim))
    shapes = {
        "warp_g": (batch, image_augment.UNIFORMS),
        "warp_d": (2 * batch, image_augment.UNIFORMS),
        "mix_content": (batch, channels + 4),
        "mix_layout": (batch, 5),
        "frames": (num_frames,),
    }
    sizes = [functools.reduce(lambda a, b: a * b, shape) for shape in shapes.values()]
    pieces = jax.lax.split(jax.random.uniform(jax.random.fold_in(key, 1), (sum(sizes),)), sizes)
    uniform = {name: piece.reshape(shapes[name]) for name, piece in zip(shapes, pieces, strict=True)}
    return Draws(z_g=normal[0], z_d=normal[1], z_moved=normal[2], **uniform)


def choose_frames(order: jax.Array, frames: jax.Array, batch: int) -> jax.Array:
    """`batch` frames of `frames` [N, ...]: those with the lowest `order` [N], again from the first if N < batch."""
    count = frames.shape[0]
    if count == 1:
        return jnp.broadcast_to(frames, (batch, *frames.shape[1:]))
    return frames[jnp.argsort(order)[jnp.arange(batch) % count]]


def to_float(frames: jax.Array) -> jax.Array:
    """uint8 0..255 to float32 -1..1; float frames pass as they are."""
    return frames.astype(jnp.float32) / 127.5 - 1.0 if frames.dtype == jnp.uint8 else frames


def pyramid(images: jax.Array, levels: int) -> list[jax.Array]:
    """`images` [B, H, W, C] at `levels` scales, coarse to fine: repeated bilinear halving of even sides."""
    scales = [images]
    for _ in range(levels - 1):
        scales.append(avg_pool2d(scales[-1]))
    return scales[::-1]


def augment(uniform: jax.Array, scales: list[jax.Array], probability: float) -> list[jax.Array]:
    """One geometric transform per sample over all its scales, coarse to fine; see `image_augment.draw`."""
    if probability == 0:
        return scales
    maps = image_augment.draw(uniform, probability, *scales[-1].shape[1:3])
    return [image_augment.warp(images, maps) for images in scales]


def ema_decay(step: jax.Array, decay: float, warmup: bool) -> jax.Array:
    """Decay of the average after `step` completed steps: with warm-up min(decay, (1 + t) / (10 + t))."""
    if not warmup:
        return jnp.float32(decay)
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def _power_step(layouts: Layouts, params: jax.Array, vectors: jax.Array) -> jax.Array:
    stepped = spectral_norm.power_step(layouts.params.split(params), layouts.vectors.split(vectors))
    return layouts.vectors.join_traced(stepped)


def _normalized(layouts: Layouts, params: jax.Array, vectors: jax.Array) -> dict:
    return spectral_norm.normalize(layouts.params.split(params), layouts.vectors.split(vectors))
