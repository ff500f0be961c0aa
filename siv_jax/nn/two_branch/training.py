"""Training as one stage, whose step is the generator's turn, then the discriminator's."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.config import Config
from siv_jax.models.interface import Tree
from siv_jax.nn import adam, flat, spectral_norm
from siv_jax.nn.ema import ema_decay, updated
from siv_jax.nn.precision import compute_dtype
from siv_jax.nn.shared_batch import averaging
from siv_jax.nn.two_branch import steering
from siv_jax.nn.two_branch.network import Network
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.steering import Steering


class Players(Protocol):
    """The generator and the discriminator with what each of them minimises, and the metrics of that."""

    generator: Network
    discriminator: Network

    def generator_objective(self, params_g, params_d, vectors_g, vectors_d, draws: Any, weight: jax.Array | float):
        """(Loss, metrics); `weight` is lambda."""

    def discriminator_objective(self, params_d, params_g, vectors_g, vectors_d, reals: Any, draws: Any):
        """(Loss, metrics)."""


@struct.dataclass
class TrainState:
    """One run between two steps. Networks are flat float32 vectors, see `Network`."""

    params_g: jax.Array  # [G]
    params_d: jax.Array  # [D]
    ema: jax.Array  # [G], average of params_g
    opt_g: optax.OptState  # Adam's count int32 [] and moments [G]
    opt_d: optax.OptState
    vectors_g: jax.Array  # spectral norm's u and v
    vectors_d: jax.Array
    steering: Steering | None  # of lambda, where the config has a target


class Training:
    """The only stage (a `siv_jax.models.interface.Stage`) but for its data and draws.

    A subclass gives `data`, `_frames`, `_draws` and `_reals`, and the class of the players.
    """

    players: Callable[[Plan, Config, jnp.dtype], Players]

    def __init__(self, plan: Plan, config: Config, shards: int = 1):
        """`config.batch_size` is shared out over `shards` devices: of `self._config` it is what one of them has."""
        config = dataclasses.replace(config, batch_size=config.batch_size // shards)
        self.num_steps = config.num_steps
        self._plan, self._config, self._averaged = plan, config, averaging(shards)
        self._players = self.players(plan, config, compute_dtype(config.model.dtype))
        rates, optim = (config.optim.lr_g, config.optim.lr_d), config.optim
        self._optimizers = [adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps) for rate in rates]

    def _frames(self, data: Tree) -> np.ndarray:
        """The frames [N, H, W, C] among the data, uint8 or float32 in [-1, 1]."""
        raise NotImplementedError

    def _draws(self, key: jax.Array, data: Tree, step: jax.Array) -> Any:
        """All that is random in one step, for the players."""
        raise NotImplementedError

    def _reals(self, draws: Any, data: Tree) -> Any:
        """The real samples of a step."""
        raise NotImplementedError

    def init(self, key: np.ndarray, data: Tree, previous: None = None) -> TrainState:
        """The state before the first step, as numpy arrays; see `Network.init_params`."""
        rng = np.random.Generator(np.random.Philox(int(key[1])))
        networks, loss = (self._players.generator, self._players.discriminator), self._config.loss
        params = [network.init_params(rng) for network in networks]
        vectors_g, vectors_d = (flat.joined(spectral_norm.init(tree, rng)) for tree in params)
        params_g, params_d = map(flat.joined, params)
        return TrainState(
            params_g=params_g,
            params_d=params_d,
            ema=params_g.copy(),
            opt_g=adam.initial(self._optimizers[0], params_g),
            opt_d=adam.initial(self._optimizers[1], params_d),
            vectors_g=vectors_g,
            vectors_d=vectors_d,
            steering=steering.start(loss.diversity_weight, self._frames(data)) if loss.diversity_target else None,
        )

    def step(
        self, state: TrainState, data: Tree, key: jax.Array, step: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update of both players; metrics are losses by part and mean logits."""
        config, players = self._config, self._players
        draws = self._draws(key, data, step)
        # As run every forward pass iterates the spectral norm; once per step is enough (method).
        vectors_g = players.generator.power_step(state.params_g, state.vectors_g)
        vectors_d = players.discriminator.power_step(state.params_d, state.vectors_d)

        reals = self._reals(draws, data)
        weight = state.steering.weight if state.steering else config.loss.diversity_weight
        grads_g, metrics_g = jax.grad(players.generator_objective, has_aux=True)(
            state.params_g, state.params_d, vectors_g, vectors_d, draws, weight
        )
        params_g, opt_g = adam.optimizer_step(self._optimizers[0], self._averaged(grads_g), state.opt_g, state.params_g)
        grads_d, metrics_d = jax.grad(players.discriminator_objective, has_aux=True)(
            state.params_d, params_g, vectors_g, vectors_d, reals, draws
        )
        params_d, opt_d = adam.optimizer_step(self._optimizers[1], self._averaged(grads_d), state.opt_d, state.params_d)
        metrics = self._averaged(metrics_g | metrics_d)
        ema = updated(state.ema, params_g, ema_decay(step, config.ema.decay, config.ema.warmup))
        next_steering = None
        if state.steering:
            next_steering = self._steered(state.steering, ema, vectors_g, step + 1)
            metrics |= {"diversity_weight": weight, "spread": next_steering.spread}
        return TrainState(
            params_g=params_g,
            params_d=params_d,
            ema=ema,
            opt_g=opt_g,
            opt_d=opt_d,
            vectors_g=vectors_g,
            vectors_d=vectors_d,
            steering=next_steering,
        ), metrics

    def weights(self, state: TrainState) -> dict[str, jax.Array]:
        """The averaged generator and its spectral-norm vectors."""
        return {"ema": state.ema, "vectors_g": state.vectors_g}

    def _steered(self, now: Steering, ema: jax.Array, vectors_g: jax.Array, step: jax.Array) -> Steering:
        """The steering after `step` completed steps. Every shard draws the same samples of the same weights."""

        def compared(now: Steering) -> Steering:
            images, *_ = self._players.generator.apply(ema, vectors_g, steering.latents(self._config.model.noise_dim))
            return steering.steered(now, images[-1], self._config.loss.diversity_target)

        return jax.lax.cond(steering.due(step), compared, lambda now: now, now)
