"""One stage of the growing generator's training (a `siv_jax.models.interface.Stage`)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.data import Source
from siv_jax.models.consingan import first_noise, optimizers, parts
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.plan import Plan
from siv_jax.nn import adam, flat, pyramid_resize
from siv_jax.nn.frames import choose_frames
from siv_jax.nn.gradient_penalty import gradient_penalty
from siv_jax.nn.shared_batch import averaging

AMPLITUDE = 0.1  # of a stage's noise, for each unit of the root mean square error before the stage


@struct.dataclass
class TrainState:
    """One stage between two steps. It has the stages 0 to k; N is the number of training frames."""

    vectors: parts.Vectors  # the generator
    params_d: jax.Array
    opt_g: optax.OptState  # of the parts that are trained
    opt_d: optax.OptState
    fixed: list[jax.Array]  # noises of the reconstruction: [N, h, w, C] of stage 0, [h, w, width] of the others
    amplitudes: jax.Array  # [k + 1], of the noises; the first is not used


class Draws(NamedTuple):
    """All that is random in one step with B samples."""

    noises: list[jax.Array]  # one a stage, normal [B, ...] of `Generator.noise_shapes`
    alphas: jax.Array  # [updates_d] uniform, of the gradient penalty
    frames: jax.Array  # [N] uniform: the order in which frames are chosen
    first: jax.Array  # [B, first_noise.UNIFORMS] uniform


class Stage:
    """Adds a body to the generator and trains the newest bodies at this stage's size."""

    def __init__(self, plan: Plan, config: Config, number: int, shards: int = 1):
        """`number`: of the stage, 0 being the coarsest; `config.batch_size` is shared out over `shards` devices."""
        self.num_steps, self._batch = config.num_steps, config.batch_size // shards
        self._averaged = averaging(shards)
        self._plan, self._config, self._number = plan, config, number
        model, optim = config.model, config.optim
        self._generator = parts.Generator(model, plan.channels)
        self._discriminator = parts.discriminator(plan, model)
        self._shapes = self._generator.noise_shapes(plan.sizes[: number + 1])
        self._shares = optimizers.trained_parts(number, model.train_depth, optim.lr_scale)
        self._optimizer_g = optimizers.of_generator(config, self._shares)
        self._optimizer_d = optimizers.of_discriminator(config)

    def data(self, source: Source) -> dict[str, np.ndarray]:
        """The frames, float32 in [-1, 1]: "real" [N, H, W, C] at this stage's size, "first" at the first stage's."""
        return {name: self._frames(source, number) for name, number in (("real", self._number), ("first", 0))}

    def init(self, key: np.ndarray, data: dict[str, np.ndarray], previous: TrainState | None) -> TrainState:
        """The state before the first step: everything of the stage before, and a copy of its last body."""
        rng = np.random.default_rng([int(part) for part in key])
        if previous is None:
            names = ("head", "body_0", "tail")
            vectors = {name: self._generator.part(name).init(rng) for name in names}
            params_d = self._discriminator.init(rng)
            fixed = [first_noise.fixed(rng, data["first"], self._config.model.mode)]
            amplitudes = np.ones(1, np.float32)
        else:
            newest = previous.vectors[f"body_{self._number - 1}"]
            vectors = previous.vectors | {f"body_{self._number}": jnp.array(newest, copy=True)}
            params_d = previous.params_d
            fixed = [*previous.fixed, rng.standard_normal(self._shapes[-1], np.float32)]
            amplitude = self.amplitude(vectors, fixed, previous.amplitudes, data["real"])
            amplitudes = jnp.append(previous.amplitudes, amplitude)
        return self.with_new_optimizers(vectors, params_d, fixed, amplitudes)

    def step(
        self, state: TrainState, data: dict[str, jax.Array], key: jax.Array, step: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The updates of the discriminator, then those of the generator; metrics are losses by part."""
        draws = self._draw(key, data["real"].shape[0])
        state, metrics = self.update(state, data, self._first_noise(data, draws), draws)
        return state, self._averaged(metrics)

    def update(
        self, state: TrainState, data: dict[str, jax.Array], first: jax.Array, draws: Draws
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One step with the noise `first` [B, h, w, C] at stage 0; the gradients are averaged over the shards."""
        real, fixed_first = (self._chosen(draws, of) for of in (data["real"], state.fixed[0]))

        def generate(trained: parts.Vectors) -> tuple[jax.Array, jax.Array]:
            make = functools.partial(self._generator, state.vectors | trained, state.amplitudes)
            return make([first, *draws.noises[1:]]), make(_reconstructing(fixed_first, state.fixed))

        trained = {name: state.vectors[name] for name in self._shares}
        # One pass of each serves both players: the generator does not change while the discriminator learns.
        (fake, rebuilt), pull = jax.vjp(generate, trained)
        params_d, opt_d, metrics = self._updated_discriminator(state, real, fake, draws.alphas)
        adversarial, by_fake = jax.value_and_grad(lambda x: -self._score(params_d, x))(fake)
        weight = self._config.loss.reconstruction
        error = rebuilt - real
        rebuilding = weight * jnp.mean(jnp.square(error))
        (grads,) = pull((by_fake, 2 * weight / error.size * error))
        grads = self._averaged(grads)
        opt_g = state.opt_g
        for _ in range(self._config.optim.updates_g):  # all with one gradient (as run)
            trained, opt_g = adam.optimizer_step(self._optimizer_g, grads, opt_g, trained)
        metrics |= {"loss_g": adversarial + rebuilding, "loss_g/adversarial": adversarial}
        metrics |= {"loss_g/reconstruction": rebuilding}
        vectors = state.vectors | trained
        return state.replace(vectors=vectors, params_d=params_d, opt_g=opt_g, opt_d=opt_d), metrics

    def weights(self, state: TrainState) -> dict:
        """The generator, the noises that rebuild the picture, amplitudes; the discriminator, for fine-tuning."""
        return {
            "generator": state.vectors,
            "fixed": state.fixed,
            "amplitudes": state.amplitudes,
            "discriminator": state.params_d,
        }

    def discriminator_loss(
        self, params: jax.Array, real: jax.Array, fake: jax.Array, alpha: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss float32 [] and its parts, for pictures [B, H, W, C]; `real` may be one."""
        weight = self._config.loss.gradient_penalty
        penalty = gradient_penalty(functools.partial(self._discriminator.apply, params), real, fake, alpha)
        losses = {
            "loss_d/real": -self._score(params, real),
            "loss_d/fake": self._score(params, fake),
            "loss_d/gradient_penalty": weight * penalty,
        }
        total = sum(losses.values())
        return total, losses | {"loss_d": total}

    def _updated_discriminator(self, state: TrainState, real: jax.Array, fake: jax.Array, alphas: jax.Array):
        """Parameters and optimizer after one update for each of `alphas`, and the means of the losses before them."""

        def one(carry, alpha):
            params, opt = carry
            grads, losses = jax.grad(self.discriminator_loss, has_aux=True)(params, real, fake, alpha)
            return adam.optimizer_step(self._optimizer_d, self._averaged(grads), opt, params), losses

        fake = jax.lax.stop_gradient(fake)
        (params, opt), losses = jax.lax.scan(one, (state.params_d, state.opt_d), alphas)
        return params, opt, jax.tree.map(jnp.mean, losses)

    def _score(self, params: jax.Array, pictures: jax.Array) -> jax.Array:
        return jnp.mean(self._discriminator.apply(params, pictures))

    def _draw(self, key: jax.Array, num_frames: int) -> Draws:
        shapes = {stage: (self._batch, *shape) for stage, shape in enumerate(self._shapes)}
        noises = flat.drawn(jax.random.normal, jax.random.fold_in(key, 0), shapes)
        shapes = {"alphas": (self._config.optim.updates_d,), "frames": (num_frames,)}
        shapes["first"] = self._batch, first_noise.UNIFORMS
        uniform = flat.drawn(jax.random.uniform, jax.random.fold_in(key, 1), shapes)
        return Draws(list(noises.values()), **uniform)

    def _first_noise(self, data: dict[str, jax.Array], draws: Draws) -> jax.Array:
        """What stage 0 is given in a step: [B, h, w, C]."""
        frames = choose_frames(draws.frames, data["first"], self._batch)
        return first_noise.random(draws.noises[0], frames, draws.first, self._config.model.mode)

    def _chosen(self, draws: Draws, frames: jax.Array) -> jax.Array:
        """The frames of a step: as many as samples, but the only one there is just once."""
        return choose_frames(draws.frames, frames, self._batch if len(frames) > 1 else 1)

    def with_new_optimizers(self, vectors, params_d, fixed, amplitudes) -> TrainState:
        """The state of given weights before the first step."""
        trained = {name: vectors[name] for name in self._shares}
        opt_g = adam.initial(self._optimizer_g, trained)
        opt_d = adam.initial(self._optimizer_d, params_d)
        return TrainState(vectors, params_d, opt_g, opt_d, fixed, amplitudes)

    def amplitude(self, vectors, fixed, amplitudes, real) -> jax.Array:
        """Of the newest noise: a share of how far the reconstruction without it is from the frames."""
        without = jnp.append(amplitudes, jnp.float32(0))

        @jax.jit
        def mean_square(vectors, fixed, without, real):
            def of_frame(pair):
                first, frame = pair
                rebuilt = self._generator(vectors, without, _reconstructing(first[None], fixed))
                return jnp.mean(jnp.square(rebuilt[0] - frame))

            return jnp.mean(jax.lax.map(of_frame, (fixed[0], real)))

        return AMPLITUDE * jnp.sqrt(mean_square(vectors, fixed, without, real))

    def _frames(self, source: Source, number: int) -> np.ndarray:
        """All frames at the size of stage `number`: scaled to the last stage's size, and from there."""
        return np.concatenate([self.at_stage(frame, number) for frame in source.frames()])

    def at_stage(self, frame: np.ndarray, number: int) -> np.ndarray:
        """A frame [H, W, C], or any picture that takes its place, as [1, h, w, C] at the size of stage `number`."""
        plan, as_run = self._plan, self._config.model.as_run
        picture = pyramid_resize.by_factor(pyramid_resize.as_float(frame)[None], plan.first_factor, as_run)
        if number == plan.num_stages - 1:
            return picture
        return pyramid_resize.by_factor(picture, plan.factors[number], as_run)


def _reconstructing(first: jax.Array, fixed: list[jax.Array]) -> list[jax.Array]:
    """Noises of the reconstruction for `first` [B, h, w, C] at stage 0."""
    return [first, *(jnp.broadcast_to(noise, (len(first), *noise.shape)) for noise in fixed[1:])]
