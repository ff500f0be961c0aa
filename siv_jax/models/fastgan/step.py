"""The training of FastGAN: one stage, whose step is the discriminator's turn, then the generator's."""

from typing import Any

import jax
import numpy as np
import optax
from flax import struct

from siv_jax.data import Source
from siv_jax.metrics import network_weights
from siv_jax.models.fastgan.config import Config
from siv_jax.models.fastgan.objectives import Draws, Players
from siv_jax.models.fastgan.plan import Plan
from siv_jax.models.interface import AXIS
from siv_jax.nn import adam, diff_augment, flat, spectral_norm
from siv_jax.nn.ema import ema_decay, updated
from siv_jax.nn.frames import choose_frames, to_float
from siv_jax.nn.precision import compute_dtype
from siv_jax.nn.shared_batch import averaging

# Every so many steps a batch of the averaged generator's tells the statistics that its samples are normalized with;
# they are averaged with this decay, over about 80 samples of a batch of 8.
STATISTICS_EVERY, _STATISTICS_DECAY = 8, 0.9

Tree = Any


@struct.dataclass
class TrainState:
    """One run between two steps; trees as the networks have them."""

    params_g: Tree
    params_d: Tree
    ema: Tree  # average of params_g
    statistics: Tree  # of batches of the averaged generator
    opt_g: optax.OptState
    opt_d: optax.OptState
    vectors_g: Tree  # spectral norm's u and v
    vectors_d: Tree


class Training:
    """The only stage of FastGAN (a `siv_jax.models.interface.Stage`)."""

    def __init__(self, plan: Plan, config: Config, shards: int = 1):
        """`config.batch_size` is shared out over `shards` devices."""
        self.num_steps = config.num_steps
        self._plan, self._config, self._shards = plan, config, shards
        self._averaged = averaging(shards)
        self._players = Players(plan, config, compute_dtype(config.model.dtype), AXIS if shards > 1 else None)
        rates, optim = (config.optim.lr_g, config.optim.lr_d), config.optim
        self._optimizers = [adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps) for rate in rates]

    def data(self, source: Source) -> dict:
        """{"frames": [N, H, W, C] at the plan's size, uint8 or float32 in [-1, 1], "vgg": weights for LPIPS}."""
        uses_vgg = self._config.loss.reconstruction == "lpips"
        frames = source.resized(self._plan.height, self._plan.width)
        return {"frames": frames, "vgg": network_weights.load("vgg") if uses_vgg else None}

    def init(self, key: np.ndarray, data: dict, previous: None = None) -> TrainState:
        """The state before the first step, as numpy arrays."""
        rng = np.random.Generator(np.random.Philox(int(key[1])))
        generator, discriminator = self._players.generator, self._players.discriminator
        params = [network.init_params(rng) for network in (generator, discriminator)]
        return TrainState(
            params_g=params[0],
            params_d=params[1],
            ema=jax.tree.map(np.copy, params[0]),
            statistics=generator.init_statistics(),
            opt_g=adam.initial(self._optimizers[0], params[0]),
            opt_d=adam.initial(self._optimizers[1], params[1]),
            vectors_g=spectral_norm.init(params[0], rng),
            vectors_d=spectral_norm.init(params[1], rng),
        )

    def step(
        self, state: TrainState, data: dict, key: jax.Array, step: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update of both players, of the generator with the fakes that the discriminator has just learnt from.

        Metrics are losses, reconstructions and mean logits.
        """
        players = self._players
        draws = draw(key, self._plan, self._config, data["frames"].shape[0], self._shards)
        reals = players.reals(to_float(choose_frames(draws.frames, data["frames"], draws.z.shape[0])), draws)
        # As run spectral norm iterates at every forward pass.
        vectors_g = spectral_norm.power_step(state.params_g, state.vectors_g)
        vectors_real = spectral_norm.power_step(state.params_d, state.vectors_d)
        vectors_fake = spectral_norm.power_step(state.params_d, vectors_real)

        fakes, backwards = jax.vjp(lambda params: players.fakes(params, vectors_g, draws), state.params_g)
        grads_d, metrics = jax.grad(players.discriminator_objective, has_aux=True)(
            state.params_d, vectors_real, vectors_fake, reals, fakes, draws, data["vgg"]
        )
        params_d, opt_d = adam.optimizer_step(self._optimizers[1], self._averaged(grads_d), state.opt_d, state.params_d)
        vectors_d = spectral_norm.power_step(params_d, vectors_fake)
        loss_g, cotangents = jax.value_and_grad(players.generator_objective)(fakes, params_d, vectors_d)
        (grads_g,) = backwards(cotangents)
        params_g, opt_g = adam.optimizer_step(self._optimizers[0], self._averaged(grads_g), state.opt_g, state.params_g)
        ema = updated(state.ema, params_g, ema_decay(step, self._config.ema.decay, self._config.ema.warmup))
        return TrainState(
            params_g=params_g,
            params_d=params_d,
            ema=ema,
            statistics=self._statistics(state.statistics, ema, vectors_g, draws, step),
            opt_g=opt_g,
            opt_d=opt_d,
            vectors_g=vectors_g,
            vectors_d=vectors_d,
        ), self._averaged(metrics | {"loss_g": loss_g})

    def weights(self, state: TrainState) -> dict[str, Tree]:
        """The averaged generator, its spectral-norm vectors and its batch statistics."""
        return {"ema": state.ema, "vectors_g": state.vectors_g, "statistics": state.statistics}

    def _statistics(self, average: Tree, ema: Tree, vectors_g: Tree, draws: Draws, step: jax.Array) -> Tree:
        """`average` with the statistics of one more batch of the averaged generator, every STATISTICS_EVERY steps."""
        decay = ema_decay(step // STATISTICS_EVERY, _STATISTICS_DECAY, warmup=True)

        def with_one_more(average: Tree) -> Tree:
            found = self._players.generator.batch_statistics(ema, vectors_g, draws.z, draws.noises)
            return updated(average, found, decay)

        return jax.lax.cond(step % STATISTICS_EVERY == 0, with_one_more, lambda average: average, average)


def draw(key: jax.Array, plan: Plan, config: Config, num_frames: int, shards: int = 1) -> Draws:
    """The randomness of one step, from two calls of the generator."""
    batch = config.batch_size // shards
    shapes = {"z": (batch, config.model.noise_dim)}
    shapes |= {i: (batch, *shape, 1) for i, shape in enumerate(plan.noise_shapes)}
    normal = flat.drawn(jax.random.normal, jax.random.fold_in(key, 0), shapes)
    shapes = {"flip": (batch,), "frames": (num_frames,), "quadrant": ()}
    shapes |= dict.fromkeys(("augment_real", "augment_fake", "augment_small"), (batch, diff_augment.UNIFORMS))
    shapes |= dict.fromkeys(("margin_real", "margin_fake"), (batch, plan.num_logits))
    uniform = flat.drawn(jax.random.uniform, jax.random.fold_in(key, 1), shapes)
    quadrant = (4 * uniform.pop("quadrant")).astype(np.int32)
    return Draws(z=normal.pop("z"), noises=list(normal.values()), quadrant=quadrant, **uniform)
