"""Training moves the samples to the picture, and diversity regularization moves their features apart."""

import jax
import numpy as np
import pytest
import tiny_trainer

from siv_jax.models.siv_gan import family, network
from siv_jax.nn.two_branch.losses import pairwise_l1
from siv_jax.nn.two_branch.training import TrainState

STEPS, SEEDS = 300, (0, 1, 2)
FASTER = {"optim__lr_g": 1e-3, "optim__lr_d": 1e-3, "ema__decay": 0.98}


def trained(**changes) -> tuple[tiny_trainer.Tiny, list[TrainState]]:
    """The run, and its state after STEPS steps from each of SEEDS."""
    run = tiny_trainer.compiled(**FASTER, **changes)
    return run, [run.advance(run.start(seed), STEPS, seed=seed)[0] for seed in SEEDS]


def colour_distance(run: tiny_trainer.Tiny, state: TrainState) -> float:
    """Mean absolute difference of the channels' means between samples and picture, both in [-1, 1]."""
    sampler = family.sampler(run.config, run.plan)
    images = jax.jit(sampler.draw)(run.stage.weights(state), sampler.noise(0, 0, 16)).images
    picture = run.frames.astype(np.float32) / 127.5 - 1
    return float(np.abs(images.mean((0, 1, 2)) - picture.mean((0, 1, 2))).mean())


def spread(run: tiny_trainer.Tiny, states: list[TrainState]) -> list[float]:
    """Eq. 4 of the averaged weights of each: mean absolute difference of the features of pairs of samples."""
    generator = network.generator(run.plan, run.config.model)
    latents = family.sampler(run.config, run.plan).noise(0, 0, 16)

    @jax.jit
    def of_one(params, vectors):
        _, features = generator.apply(params, vectors, latents)
        return sum(map(pairwise_l1, features)) / len(features)

    return [float(of_one(state.ema, state.vectors_g)) for state in states]


@pytest.fixture(scope="module")
def regularized() -> tuple[tiny_trainer.Tiny, list[TrainState]]:
    return trained()


def test_colours_move_from_far_to_near(regularized):
    run, states = regularized
    assert colour_distance(run, states[0]) < 0.6 * colour_distance(run, run.start())


def test_diversity_regularization_moves_features_apart(regularized):
    """For any of the seeds against any other; pixels are no measure of it, whose spread in so short a run is chance."""
    plain = trained(loss__diversity="none")
    assert min(spread(*regularized)) > 1.3 * max(spread(*plain))
