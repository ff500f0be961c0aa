"""How far samples differ, and the lambda that follows it."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_trainer

from siv_jax.nn import spread


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 6, 8, 3)).astype(np.float32)


def rms(one, other) -> float:
    return math.sqrt(np.mean((one - other) ** 2))


def test_pairwise_rms_by_pairs():
    x = images(5)
    expected = np.mean([rms(x[i], x[j]) for i, j in itertools.combinations(range(5), 2)])
    assert float(spread.pairwise_rms(x)) == pytest.approx(expected, rel=1e-5)
    constants = np.array([-0.5, 0.5], np.float32)[:, None, None, None] * np.ones((1, 4, 4, 1), np.float32)
    assert float(spread.pairwise_rms(constants)) == pytest.approx(1.0)


def test_novelty_is_the_distance_to_the_nearest():
    x, frames = images(4), images(3, seed=1)
    expected = np.mean(
        [min([rms(x[i], x[j]) for j in range(4) if j != i] + [rms(x[i], frame) for frame in frames]) for i in range(4)]
    )
    assert float(spread.novelty(x, frames)) == pytest.approx(expected, rel=1e-5)
    # Samples that come in twos, or repeat a frame, have none.
    assert float(spread.novelty(np.repeat(x[:2], 2, axis=0), frames)) == 0
    assert float(spread.novelty(np.repeat(frames[:1], 2, axis=0) + np.float32(0), frames)) == 0


def test_views_of_a_flat_picture_do_not_differ_and_contrast_scales():
    assert spread.of_views(np.full((1, 24, 32, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-6)
    x = images(1).repeat(4, axis=1).repeat(4, axis=2)
    whole, half = spread.of_views(x), spread.of_views(x / 2)
    assert half == pytest.approx(whole / 2, rel=1e-4) and spread.of_views(x) == whole
    # uint8 frames are the same pictures.
    bytes_of = np.rint((x + 1) * 127.5).astype(np.uint8)
    assert spread.of_views(bytes_of) == pytest.approx(whole, rel=0.01)


def test_horizontal_stripes_differ_less_than_vertical_ones():
    """Views are shifted sideways only: a horizon stays where it is."""
    stripes = np.zeros((1, 24, 32, 3), np.float32)
    stripes[:, ::2] = 0.8
    assert spread.of_views(stripes) < spread.of_views(stripes[:, :, :24].transpose(0, 2, 1, 3))


def test_lambda_follows_the_novelty():
    tiny = tiny_trainer.compiled(loss__diversity_target=0.5)
    stage, start = tiny.stage, tiny.start()

    def after(novelty: float, step: int, weight: float) -> float:
        metrics = {"novelty": jnp.float32(novelty) * start.views_spread}
        state = start.replace(log_weight=jnp.float32(math.log(weight)))
        log_weight, found = stage._steered(state, metrics, jnp.int32(step))
        assert float(found["novelty"]) == pytest.approx(novelty, rel=1e-5)
        assert float(found["diversity_weight"]) == pytest.approx(weight, rel=1e-5)
        return math.exp(float(log_weight))

    assert after(0.3, 600, 0.1) == pytest.approx(0.1 * math.exp(0.018 * 0.2), rel=1e-5)
    assert after(0.7, 600, 0.1) == pytest.approx(0.1 * math.exp(-0.006 * 0.2), rel=1e-5)
    assert after(0.3, 499, 0.1) == pytest.approx(0.1), "samples have not begun to form"
    assert after(0.0, 600, 0.25) == pytest.approx(0.25) and after(2.0, 600, 0.03) == pytest.approx(0.03), "bounds"


def test_a_run_with_a_target_logs_its_lambda_and_trains():
    tiny = tiny_trainer.compiled(loss__diversity_target=0.5)
    state, totals = tiny.advance(tiny.start(), 3)
    assert totals["diversity_weight"] / 3 == pytest.approx(tiny.config.loss.diversity_weight, rel=1e-5)
    assert totals["novelty"] >= 0 and float(state.views_spread) == pytest.approx(spread.of_views(tiny.frames), rel=1e-5)
    plain = tiny_trainer.compiled()
    expected, _ = plain.advance(plain.start(), 3)
    # While lambda stays where it begins, the run is the one without a target, up to rounding.
    drift = np.abs(state.params_g - expected.params_g).mean()
    assert drift < 1e-3 * np.abs(expected.params_g - plain.start().params_g).mean()
