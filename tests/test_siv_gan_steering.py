"""The lambda that follows how far samples differ."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_trainer
import toy_runs

from siv_jax.nn import spread
from siv_jax.nn.two_branch import steering
from siv_jax.train import single

START = steering.Steering(jnp.float32(0.1), jnp.float32(0.5), jnp.float32(0.0))


def images(share: float) -> np.ndarray:
    """Two halves, so that pairs differ by 0 or by one distance: `share` of START.views on average."""
    count, half = steering.SAMPLES, steering.SAMPLES // 2
    distance = share * 0.5 * (count * (count - 1) / 2) / half**2
    signs = np.repeat([-0.5, 0.5], half).astype(np.float32)
    return (distance * signs)[:, None, None, None] * np.ones((1, 4, 6, 3), np.float32)


def test_lambda_rises_where_samples_are_too_alike_and_falls_where_they_differ_too_much():
    def after(share: float, weight: float = 0.1) -> float:
        found = steering.steered(START.replace(weight=jnp.float32(weight)), jnp.asarray(images(share)), 0.9)
        assert float(found.spread) == pytest.approx(share, rel=1e-5) and float(found.views) == 0.5
        return float(found.weight)

    assert after(0.7) == pytest.approx(0.1 * math.exp(steering.GAIN_UP * 0.2), rel=1e-5)
    assert after(1.1) == pytest.approx(0.1 * math.exp(-steering.GAIN_DOWN * 0.2), rel=1e-5)
    assert after(0.0) == pytest.approx(0.1 * math.exp(steering.GAIN_UP * steering.LIMIT), rel=1e-5)
    assert after(3.0) == pytest.approx(0.1 * math.exp(-steering.GAIN_DOWN * steering.LIMIT), rel=1e-5)
    assert after(0.0, steering.HIGHEST) == pytest.approx(steering.HIGHEST)
    assert after(2.0, steering.LOWEST) == pytest.approx(steering.LOWEST)


def test_samples_are_compared_now_and_then_once_they_have_formed():
    wait, every = steering.WAIT, steering.EVERY
    due = [step for step in range(wait + 2 * every) if steering.due(jnp.int32(step))]
    assert due == [wait, wait + every]


def test_a_run_with_a_target_steers_by_its_averaged_weights(monkeypatch):
    monkeypatch.setattr(steering, "WAIT", 2)
    monkeypatch.setattr(steering, "EVERY", 2)
    tiny = tiny_trainer.compiled(loss__diversity_target=0.4)
    state, totals = tiny.advance(tiny.start(), 4)
    start = tiny.start().steering
    assert float(start.weight) == pytest.approx(tiny.config.loss.diversity_weight)
    assert float(start.views) == pytest.approx(spread.of_views(tiny.frames), rel=1e-5)
    assert float(start.weight) * 4 != pytest.approx(totals["diversity_weight"], rel=1e-3)
    # The last comparison, done again from the state: the average and the spectral-norm vectors of the same step.
    drawn, _ = tiny.stage._players.generator.apply(
        state.ema, state.vectors_g, steering.latents(tiny.config.model.noise_dim)
    )
    assert float(state.steering.spread) == pytest.approx(
        float(spread.pairwise_rms(drawn[-1])) / float(start.views), rel=1e-3
    )
    assert tiny_trainer.compiled().start().steering is None


def test_a_run_that_is_steered_is_taken_up_again_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(steering, "WAIT", 10)
    monkeypatch.setattr(steering, "EVERY", 5)
    settings = {"loss__diversity_target": 0.4, "checkpoint_every": 10}
    train = functools.partial(single.train, devices=1, dry_run=False, say=str)
    train(tiny.config(**settings), tmp_path / "whole")
    train(tiny.config(num_steps=20, **settings), tmp_path / "parts")
    train(tiny.config(**settings), tmp_path / "parts")
    for one, other in zip(toy_runs.arrays(tmp_path / "parts"), toy_runs.arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
