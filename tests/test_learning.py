"""Training moves the samples to the picture, and diversity regularization moves their features apart."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from siv_jax.models.siv_gan.state import TrainState, init_state

from siv_jax.config import Config
from siv_jax.data import load_frames
from siv_jax.models.siv_gan import step
from siv_jax.models.siv_gan.losses import pairwise_l1
from siv_jax.sampling.trained_model import Sampler, latents
from siv_jax.train import devices as parallel

STEPS, SEEDS = 300, (0, 1, 2)


def config(**changes) -> Config:
    return tiny.config(optim__lr_g=1e-3, optim__lr_d=1e-3, ema__decay=0.98, **changes)


CONFIG = config()
FRAMES, PLAN = load_frames(CONFIG.data, CONFIG.model)
LATENTS = latents(0, 0, 16, CONFIG.model.noise_dim)


def trained(config: Config) -> list[TrainState]:
    """The state after STEPS steps from each of SEEDS."""
    trainer = parallel.Trainer(PLAN, config, 1)
    starts = [init_state(PLAN, dataclasses.replace(config, seed=seed)) for seed in SEEDS]
    held = trainer.put(FRAMES.pixels)
    trainer.compile(trainer.put(starts[0]), held)
    ends = [trainer.advance(trainer.put(start), trainer.zero_totals(), held, STEPS)[0] for start in starts]
    return [trainer.fetch(end) for end in ends]


def colour_distance(state: TrainState) -> float:
    """Mean absolute difference of the channels' means between samples and picture, both in [-1, 1]."""
    images = Sampler(PLAN, CONFIG.model)(state.ema, state.vectors_g, LATENTS)
    picture = FRAMES.pixels.astype(np.float32) / 127.5 - 1
    return float(np.abs(images.mean((0, 1, 2)) - picture.mean((0, 1, 2))).mean())


def spread(states: list[TrainState]) -> list[float]:
    """Eq. 4 of the averaged weights of each: mean absolute difference of the features of pairs of samples."""
    players = step.Players(PLAN, CONFIG, jnp.float32)

    def of_one(params, vectors):
        _, features = players.generate(params, vectors, LATENTS)
        return sum(map(pairwise_l1, features)) / len(features)

    return [float(jax.jit(of_one)(state.ema, state.vectors_g)) for state in states]


@pytest.fixture(scope="module")
def regularized() -> list[TrainState]:
    return trained(CONFIG)


def test_colours_move_from_far_to_near(regularized):
    assert colour_distance(regularized[0]) < 0.6 * colour_distance(init_state(PLAN, CONFIG))


def test_diversity_regularization_moves_features_apart(regularized):
    """For any of the seeds against any other; pixels are no measure of it, whose spread in so short a run is chance."""
    plain = trained(config(loss__diversity="none"))
    assert min(spread(regularized)) > 1.3 * max(spread(plain))
