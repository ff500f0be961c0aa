"""Checkpoints: what is read back is what was saved, the last few stay, and a damaged one is named."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny_trainer

from siv_jax.errors import DivergedError, UserError
from siv_jax.models.siv_gan.state import TrainState
from siv_jax.workdir.checkpoint import Checkpoints, completed_steps, require_finite, restore_generator, save_generator


def state_at(step: int, seed: int = 0) -> TrainState:
    """A state of small arrays, every value random but the counts."""
    rng = np.random.default_rng(seed + step)

    def vector(size):
        return rng.normal(size=size).astype(np.float32)

    def moments(size):
        return ({"count": np.array(step, np.int32), "mu": vector(size), "nu": vector(size)}, {})

    return TrainState(
        step=np.array(step, np.int32),
        key=np.array([0, 2**32 - 1], np.uint32),
        params_g=vector(7),
        params_d=vector(5),
        ema=vector(7),
        opt_g=moments(7),
        opt_d=moments(5),
        vectors_g=vector(3),
        vectors_d=vector(2),
    )


def assert_same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def steps_in(folder) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def test_what_is_saved_is_restored_bit_for_bit(tmp_path):
    state = state_at(12)
    # Signed zeros, subnormals and the largest values too.
    state.params_g[:4] = [-0.0, 1e-45, 3.4e38, -1e-38]
    with Checkpoints(tmp_path / "c", 3) as checkpoints:
        assert checkpoints.latest_step() is None
        checkpoints.save(state)
    with Checkpoints(tmp_path / "c", 3) as checkpoints:
        assert checkpoints.latest_step() == 12
        restored = checkpoints.restore(like=state_at(0, seed=9))
    assert_same(restored, state)
    assert np.signbit(restored.params_g[0])


def test_the_last_few_stay(tmp_path):
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        for step in (10, 20, 30, 40):
            checkpoints.save(state_at(step))
        checkpoints.wait()
        assert steps_in(tmp_path / "c") == [30, 40]
        assert_same(checkpoints.restore(like=state_at(0)), state_at(40))
    assert completed_steps(tmp_path / "c") == 40
    assert completed_steps(tmp_path / "nowhere") == 0


def test_a_step_is_saved_once_and_an_earlier_one_refused(tmp_path):
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        checkpoints.save(state_at(20))
        checkpoints.save(state_at(20, seed=5))
        assert_same(checkpoints.restore(like=state_at(0)), state_at(20))
        with pytest.raises(UserError, match="another run"):
            checkpoints.save(state_at(10))


def test_what_a_killed_run_left_unfinished_is_not_taken_for_a_checkpoint(tmp_path):
    folder = tmp_path / "c"
    with Checkpoints(folder, 2) as checkpoints:
        checkpoints.save(state_at(10))
    unfinished = folder / "20.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("x")
    assert completed_steps(folder) == 10
    with Checkpoints(folder, 2) as checkpoints:
        assert checkpoints.latest_step() == 10
        checkpoints.save(state_at(20))
    assert steps_in(folder) == [10, 20] and not unfinished.exists()


def test_other_shapes_and_damage_are_refused_with_the_folder_named(tmp_path):
    folder = tmp_path / "c"
    with Checkpoints(folder, 2) as checkpoints:
        checkpoints.save(state_at(10))
        checkpoints.wait()
        other = dataclasses.replace(state_at(0), params_g=np.zeros(8, np.float32))
        with pytest.raises(UserError, match=str(folder / "10")):
            checkpoints.restore(like=other)
    for path in (folder / "10" / "training").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with Checkpoints(folder, 2) as checkpoints, pytest.raises(UserError, match="damaged"):
        checkpoints.restore(like=state_at(0))


def test_sampling_reads_the_averaged_generator_alone(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    state = state_at(30)
    with Checkpoints(folder, 2) as checkpoints:
        checkpoints.save(state)
    like = {"ema": np.zeros(7, np.float32), "vectors_g": np.zeros(3, np.float32)}
    weights, step = restore_generator(folder, like)
    assert step == 30
    assert_same(weights, {"ema": state.ema, "vectors_g": state.vectors_g})
    # Nothing but the generator's item is needed.
    for path in (folder / "30" / "training").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert_same(restore_generator(folder, like)[0], weights)


def test_imported_weights_are_step_zero(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    params, vectors = np.arange(7, dtype=np.float32), np.ones(3, np.float32)
    save_generator(folder, params, vectors)
    weights, step = restore_generator(folder, {"ema": params * 0, "vectors_g": vectors * 0})
    assert step == 0
    assert_same(weights, {"ema": params, "vectors_g": vectors})


def test_no_checkpoint_to_sample_from(tmp_path):
    like = {"ema": np.zeros(7, np.float32), "vectors_g": np.zeros(3, np.float32)}
    with pytest.raises(UserError, match="train there first"):
        restore_generator(tmp_path / "run" / "checkpoints", like)
    with Checkpoints(tmp_path / "run" / "checkpoints", 2):
        pass
    with pytest.raises(UserError, match="train there first"):
        restore_generator(tmp_path / "run" / "checkpoints", like)


@pytest.mark.parametrize("name", ["params_g", "params_d", "ema", "vectors_d"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_named(name, value):
    state = state_at(10)
    require_finite(state)
    getattr(state, name)[-1] = value
    with pytest.raises(DivergedError, match=rf"{name} is not finite after step 10"):
        require_finite(state)


def test_n_steps_are_k_steps_saved_and_restored_and_the_rest(tmp_path):
    tiny = tiny_trainer.compiled()
    whole, _ = tiny.advance(tiny.start(), 12)
    part, _ = tiny.advance(tiny.start(), 7)
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        checkpoints.save(part)
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        restored = checkpoints.restore(like=tiny.start(seed=3))
    resumed, _ = tiny.advance(restored, 5)
    assert int(whole.step) == 12
    assert_same(resumed, whole)
