"""Training moves the samples to the picture, and diversity regularization moves them apart."""

import numpy as np
import pytest
import tiny

from siv_jax import parallel
from siv_jax.data import load_frames
from siv_jax.sampler import Sampler, latents
from siv_jax.state import init_state

STEPS = 300


def samples_before_and_after(**changes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(picture, samples of the initial weights, samples after STEPS steps), all in [-1, 1]."""
    config = tiny.config(optim__lr_g=1e-3, optim__lr_d=1e-3, ema__decay=0.98, **changes)
    frames, plan = load_frames(config.data, config.model)
    trainer, sampler = parallel.Trainer(plan, config, 1), Sampler(plan, config.model)
    z = latents(0, 0, 16, config.model.noise_dim)
    start = init_state(plan, config)
    state, held = trainer.put(start), trainer.put(frames.pixels)
    trainer.compile(state, held)
    state, _, _ = trainer.advance(state, trainer.zero_totals(), held, STEPS)
    end = trainer.fetch(state)
    picture = frames.pixels.astype(np.float32) / 127.5 - 1
    return picture, sampler(start.ema, start.vectors_g, z), sampler(end.ema, end.vectors_g, z)


def colour_distance(images: np.ndarray, picture: np.ndarray) -> float:
    """Mean absolute difference of the channels' means."""
    return float(np.abs(images.mean((0, 1, 2)) - picture.mean((0, 1, 2))).mean())


def spread(images: np.ndarray) -> float:
    """Mean absolute difference between pairs of samples."""
    count = len(images)
    return float(np.mean([np.abs(images[i] - images[j]).mean() for i in range(count) for j in range(i)]))


@pytest.fixture(scope="module")
def regularized():
    return samples_before_and_after()


def test_colours_move_from_far_to_near(regularized):
    picture, before, after = regularized
    assert colour_distance(after, picture) < 0.6 * colour_distance(before, picture)


def test_diversity_regularization_moves_samples_apart(regularized):
    _, _, plain = samples_before_and_after(loss__diversity="none")
    assert spread(regularized[2]) > 1.3 * spread(plain)
