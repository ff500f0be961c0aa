"""Training: one stage a scale, whose step is three turns of the discriminator, then three of the generator.

Of a clip the SIV-GAN paper says that for its Table 2 the reconstruction loss was applied on all frames, and no more.
The rest is our choice, as for ConSinGAN here: a step has one frame, the real picture of the discriminator and the one
to be rebuilt; each frame is rebuilt from a z* of its own; an amplitude follows from the error over all frames.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.data import Source
from siv_jax.models.singan import pictures
from siv_jax.models.singan.chain import Chain, Scales
from siv_jax.models.singan.config import Config
from siv_jax.models.singan.network import updated_stats
from siv_jax.models.singan.objectives import Players, StepFrame
from siv_jax.models.singan.plan import Plan
from siv_jax.nn import adam, flat
from siv_jax.nn.frames import choose_frames
from siv_jax.nn.shared_batch import averaging

PREVIEW_EVERY = 500  # steps between preview passes, as run


@struct.dataclass
class TrainState:
    """One scale between two steps. Networks are flat float32 vectors, see `Network`; N is the number of frames."""

    below: Scales  # the finished scales
    amplitudes: jax.Array  # [scales so far] of the noise
    z_star: jax.Array  # [N, h, w, 1] noise of the reconstruction of each frame at the coarsest scale
    previous: jax.Array  # [N, H, W, C] reconstructions of the scales below, as this scale gets them
    params_g: jax.Array
    stats_g: jax.Array  # running statistics
    params_d: jax.Array
    opt_g: optax.OptState
    opt_d: optax.OptState


@struct.dataclass
class Draws:
    """All that is random in one step with B samples, where N frames are learnt."""

    noise: jax.Array  # [B, h, w, C], of this scale, see Chain
    below: list[jax.Array]  # of each scale below [turns, B, h, w, C]
    alphas: jax.Array  # [turns] shares of the real picture in the penalty's mix
    z_star: jax.Array | None = None  # [N, h, w, 1], as run at the coarsest scale
    frames: jax.Array | None = None  # [N] uniform: the frame with the lowest is the step's; not read where N is 1


class ScaleTraining:
    """The training of one scale (a `siv_jax.models.interface.Stage`)."""

    def __init__(self, plan: Plan, config: Config, scale: int, shards: int = 1):
        """`config.batch_size` is shared out over `shards` devices."""
        self.num_steps = config.num_steps
        self._plan, self._config, self._scale, self._averaged = plan, config, scale, averaging(shards)
        self._batch, self._as_run = config.batch_size // shards, config.loss.as_run != "no"
        self._chain = Chain(plan, config.model.noise_padding)
        self._players = Players(self._chain, scale, config)
        optim = config.optim
        self._optimizer_g, self._optimizer_d = (
            adam.make_optimizer(self._rate(rate, turns), optim.beta1, optim.beta2, optim.eps)
            for rate, turns in ((optim.lr_g, optim.turns_g), (optim.lr_d, optim.turns_d))
        )

    def _rate(self, rate: float, turns: int) -> optax.Schedule:
        """Of the number of updates so far."""
        steps = math.ceil(self._config.optim.decay_from * self.num_steps)
        return optax.piecewise_constant_schedule(rate, {steps * turns: 0.1})

    def data(self, source: Source) -> np.ndarray:
        """The frames at this scale: float32 [N, H, W, C]."""
        return pictures.reals(source, self._plan, self._scale)

    def init(self, key: np.ndarray, data: np.ndarray, previous: TrainState | None) -> TrainState:
        """The state before the first step. Networks as wide as those of the scale below start from theirs."""
        rng = np.random.Generator(np.random.Philox([int(key[1]), self._scale]))
        players, scale, widths = self._players, self._scale, self._plan.widths
        if previous is not None and widths[scale - 1] == widths[scale]:
            params_g, stats_g, params_d = previous.params_g, previous.stats_g, previous.params_d
        else:
            params_g, params_d = players.generator.init(rng), players.discriminator.init(rng)
            stats_g = players.generator.initial_stats()
        if previous is None:
            below, amplitudes = [], np.ones(1, np.float32)
            shape = self._chain.noise_shape(0, self._plan.sizes[0])
            z_star = rng.standard_normal((len(data), *shape), np.float32)
            coarser = np.zeros(data.shape, np.float32)
        else:
            below, z_star = self.weights(previous)["scales"], previous.z_star
            coarser, amplitudes = jax.jit(self._entered)(below, previous.amplitudes, z_star, data)
        return TrainState(
            below=below,
            amplitudes=amplitudes,
            z_star=z_star,
            previous=coarser,
            params_g=params_g,
            stats_g=stats_g,
            params_d=params_d,
            opt_g=adam.initial(self._optimizer_g, params_g),
            opt_d=adam.initial(self._optimizer_d, params_d),
        )

    def _entered(self, below: Scales, amplitudes: jax.Array, z_star: jax.Array, reals: jax.Array):
        """(reconstructions of the scales below, amplitudes with this scale's, which is in units of their error)."""
        restored = self._chain.reconstruction(below, amplitudes, z_star)
        error = jnp.sqrt(jnp.mean(jnp.square(reals - restored)))
        return restored, jnp.append(amplitudes, self._config.loss.noise * error)

    def step(self, state: TrainState, data: jax.Array, key: jax.Array, step: jax.Array):
        """One update; metrics are means over the turns: losses by part, and the reconstruction's RMSE."""
        return self.update(state, data, self.draw(key, len(data)), step)

    def draw(self, key: jax.Array, num_frames: int) -> Draws:
        """The randomness of a step."""
        turns, sizes = self._config.optim.turns_d, self._plan.sizes
        of_scales = [self._chain.noise_shape(i, sizes[i]) for i in range(self._scale + 1)]
        shapes = [(self._batch, *of_scales[-1]), *((turns, self._batch, *shape) for shape in of_scales[:-1])]
        if self._as_run and self._scale == 0:
            shapes.append((num_frames, *of_scales[0]))
        normal = jax.random.normal(jax.random.fold_in(key, 0), (sum(map(math.prod, shapes)),))
        noise, *below = flat.cut(normal, shapes)
        z_star = below.pop() if self._as_run and self._scale == 0 else None
        alphas, frames = (
            jax.random.uniform(jax.random.fold_in(key, number), (count,))
            for number, count in ((1, turns), (2, num_frames))
        )
        return Draws(noise, below, alphas, z_star, frames)

    def update(self, state: TrainState, reals: jax.Array, draws: Draws, step: jax.Array):
        """One step with given draws."""
        if draws.z_star is not None:
            state = state.replace(z_star=draws.z_star)
        frame = self._step_frame(state, reals, draws)
        previous = self._coarser(state, draws)
        state, stored_inputs, metrics_d = self._turns_of_discriminator(state, frame, draws, previous)
        state, metrics_g = self._turns_of_generator(state, frame, draws.noise, previous[-1], stored_inputs)
        if self._as_run:
            state = self._previewed(state, frame, step)
        return state, self._averaged(metrics_d | metrics_g)

    def weights(self, state: TrainState) -> dict:
        """The generators so far, with what reconstructs the frames."""
        newest = {"params": state.params_g, "stats": state.stats_g}
        return {"scales": [*state.below, newest], "amplitudes": state.amplitudes, "z_star": state.z_star}

    def _step_frame(self, state: TrainState, reals: jax.Array, draws: Draws) -> StepFrame:
        """Of the step's frame."""
        real, previous = (choose_frames(draws.frames, of, 1) for of in (reals, state.previous))
        if self._scale == 0:
            z_star = choose_frames(draws.frames, state.z_star, 1)
        else:
            z_star = jnp.zeros((1, *draws.noise.shape[1:]), jnp.float32)
        return StepFrame(real, previous, z_star, state.amplitudes[-1])

    def _coarser(self, state: TrainState, draws: Draws) -> jax.Array:
        """[turns, B, H, W, C]: new random pictures of the scales below for every turn of the discriminator."""
        turns, shape = len(draws.alphas), (self._batch, *state.previous.shape[1:])
        if not state.below:
            return jnp.zeros((turns, *shape), jnp.float32)
        noises = [noise.reshape(-1, *noise.shape[2:]) for noise in draws.below]
        pictures = self._chain.climb(state.below, state.amplitudes, noises, self._plan.sizes)
        return self._chain.enlarged(pictures[-1], self._plan.sizes[self._scale]).reshape(turns, *shape)

    def _turns_of_discriminator(self, state: TrainState, frame: StepFrame, draws: Draws, previous: jax.Array):
        """(state, the generator's inputs of all operations in the last turn, mean metrics)."""
        players = self._players

        def turn(state, drawn):
            previous, alpha = drawn
            fake, stats, inputs = players.fake(state.params_g, draws.noise, frame.amplitude, previous)
            slopes, metrics = jax.grad(players.discriminator_objective, has_aux=True)(
                state.params_d, frame.real, fake, alpha
            )
            params_d, opt_d = adam.optimizer_step(
                self._optimizer_d, self._averaged(slopes), state.opt_d, state.params_d
            )
            stats_g = updated_stats(state.stats_g, self._averaged(stats.mean(0)))
            state = state.replace(params_d=params_d, opt_d=opt_d, stats_g=stats_g)
            return state, (metrics, inputs if self._config.loss.as_run == "stale" else [])

        state, (metrics, inputs) = jax.lax.scan(turn, state, (previous, draws.alphas))
        return state, [values[-1] for values in inputs], jax.tree.map(jnp.mean, metrics)

    def _turns_of_generator(
        self, state: TrainState, frame: StepFrame, noise: jax.Array, previous: jax.Array, stored_inputs: list[jax.Array]
    ):
        """(state, mean metrics)."""
        players = self._players

        def turn(state, _):
            slopes, (metrics, *stats) = jax.grad(players.generator_objective, has_aux=True)(
                state.params_g, state.params_d, frame, noise, previous, stored_inputs
            )
            params_g, opt_g = adam.optimizer_step(
                self._optimizer_g, self._averaged(slopes), state.opt_g, state.params_g
            )
            stats_g = state.stats_g
            # As run the fakes of the last turn of the discriminator serve the generator, without another pass.
            for batch in stats[1:] if stored_inputs else stats:
                stats_g = updated_stats(stats_g, self._averaged(batch.mean(0)))
            return state.replace(params_g=params_g, opt_g=opt_g, stats_g=stats_g), metrics

        state, metrics = jax.lax.scan(turn, state, None, length=self._config.optim.turns_g)
        return state, jax.tree.map(jnp.mean, metrics)

    def _previewed(self, state: TrainState, frame: StepFrame, step: jax.Array) -> TrainState:
        """As run a preview of the reconstruction, now and then, passes the generator in training."""
        due = (step % PREVIEW_EVERY == 0) | (step == self.num_steps - 1)
        x = self._players.frame_input(frame)
        stats_g = updated_stats(state.stats_g, self._players.generator.in_training(state.params_g, x)[1].mean(0))
        return state.replace(stats_g=jnp.where(due, stats_g, state.stats_g))
