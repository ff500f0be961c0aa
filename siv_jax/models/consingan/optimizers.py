"""The optimizers of one stage, and the rates of the parts that it trains."""

import math

import jax.numpy as jnp
import optax

from siv_jax.models.consingan.config import Config
from siv_jax.nn import adam

_FALL_AT, _FALL_TO = 0.8, 0.1  # of a stage's steps, and of its rates


def trained_parts(stage: int, depth: int, lr_scale: float) -> dict[str, float]:
    """The parts of the generator that stage `stage` trains, with their shares of the learning rate.

    The newest `depth` bodies, each older one at `lr_scale` times the next one's rate; the tail at the full rate; the
    head while the first body is among them and bodies are fewer than or as many as `depth`, at lr_scale^stage.
    """
    bodies = range(max(0, stage + 1 - depth), stage + 1)
    shares = {f"body_{number}": lr_scale ** (stage - number) for number in bodies}
    head = {"head": lr_scale**stage} if stage < depth else {}
    return head | shares | {"tail": 1.0}


def of_generator(config: Config, shares: dict[str, float]) -> optax.GradientTransformation:
    """Adam over a dictionary of vectors, each at its share of the rate."""
    optim = config.optim
    rate = _rate(config, optim.lr_g, optim.updates_g)
    scaled = optax.stateless(lambda updates, _: {name: shares[name] * update for name, update in updates.items()})
    return optax.chain(adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps), scaled)


def of_discriminator(config: Config) -> optax.GradientTransformation:
    """Adam over one vector."""
    optim = config.optim
    rate = _rate(config, optim.lr_d, optim.updates_d)
    return adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps)


def _rate(config: Config, rate: float, updates: int) -> optax.Schedule:
    """The rate after so many updates, of which each step has `updates`: a tenth from 0.8 of the steps on."""
    fall = _FALL_AT * config.num_steps
    if config.model.as_run and not fall.is_integer():
        return lambda count: jnp.float32(rate)
    return lambda count: jnp.where(count < math.ceil(fall) * updates, jnp.float32(rate), jnp.float32(_FALL_TO * rate))
