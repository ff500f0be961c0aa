"""SinGAN in the house: plans, resumption, samples at any size and scale, refusals."""

import itertools
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_runs
from PIL import Image

from siv_jax import api
from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import AXIS
from siv_jax.models.singan.chain import Chain
from siv_jax.models.singan.plan import enlarging_steps, make_plan
from siv_jax.models.singan.step import Draws, ScaleTraining
from siv_jax.nn.frames import frame_of_each
from siv_jax.train import single

OVERRIDES = {
    "num_steps": 4,
    "log_every": 1,  # a resumed run logs the mean over what it did itself
    "sample_every": 2,
    "checkpoint_every": 2,
    "num_samples": 4,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 24,
    "model.min_size": 12,
    "model.scale_factor": 0.5,
    "model.width": 4,
}

CLIP = {"data__path": "example:clip", "data__max_frames": 3}
KEY = np.zeros(2, np.uint32)


def config(**changes):
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(config_lib.from_config_dict(config_lib.default("singan")), OVERRIDES | given)


def train(folder, watch=None, **changes):
    said: list[str] = []
    return single.train(config(**changes), folder, 1, False, said.append, watch), said


def plan(height, width, **changes):
    return make_plan(
        height, width, 3, config(data__max_size=250, model__min_size=25, model__scale_factor=0.75, **changes)
    )


def test_plans_are_those_of_the_published_code():
    sizes = "26x34 32x42 40x53 49x66 62x82 77x102 96x128 121x160 151x200 188x250"
    found = plan(188, 250)
    assert " ".join(f"{height}x{width}" for height, width in found.sizes) == sizes
    assert found.factor == pytest.approx(0.799176, abs=1e-6)
    assert found.widths == (4, 4, 4, 4, 8, 8, 8, 8, 16, 16)
    assert plan(500, 375).sizes[:3] == ((34, 25), (43, 33), (56, 42))
    assert [size[0] for size in plan(256, 256).sizes] == [26, 33, 42, 54, 70, 90, 117, 150, 194, 250]
    enlarging = make_plan(188, 250, 3, config(data__max_size=250, model__min_size=18, model__upscale=4.0))
    assert len(enlarging.sizes) == 12 and enlarging.factor == pytest.approx(0.807931, abs=1e-6)
    assert [enlarging_steps(factor) for factor in (2.0, 4.0, 8.0)] == [3, 6, 9]


@pytest.mark.parametrize(("size", "words"), [((12, 40), "use a larger picture"), ((24, 400), "use a larger picture")])
def test_pictures_without_a_pyramid_are_refused(size, words):
    with pytest.raises(UserError, match=words):
        make_plan(*size, 3, config())


def test_a_batch_that_cannot_be_shared_is_refused():
    family = registry.get("singan")
    with pytest.raises(UserError, match="batch_size 1 does not divide over 4 devices: the nearest that does is 4"):
        family.stages(config(), plan(188, 250), 4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    stopped, said = train(folder)
    assert stopped is None
    assert any(line.startswith("scales    16x12 ") for line in said), said
    return folder


@pytest.fixture(scope="module")
def of_a_clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of_a_clip") / "run"
    assert train(folder, **CLIP)[0] is None
    return folder


@pytest.mark.posix
@pytest.mark.parametrize(("name", "changes"), [("undisturbed", {}), ("of_a_clip", CLIP)])
def test_a_run_stopped_in_every_stage_goes_on_bit_for_bit(name, changes, tmp_path, request):
    folder, undisturbed = tmp_path / "run", request.getfixturevalue(name)
    assert api.load(undisturbed).num_scales == 2
    for stop in (2, 4, 6):

        def watch(step, stop=stop):
            if step >= stop:
                os.kill(os.getpid(), signal.SIGTERM)

        assert train(folder, watch=watch, **changes)[0] == "SIGTERM"
    assert train(folder, **changes)[0] is None
    toy_runs.assert_same_run(folder, undisturbed)


def test_a_step_has_one_frame_of_a_clip_rebuilt_from_its_own_noise():
    given = config(**CLIP, loss__as_run="recomputed")
    family, source = registry.get("singan"), open_source(given.data)
    stages = family.stages(given, family.plan(given, source))
    below, above = (stage.data(source) for stage in stages)
    state = jax.tree.map(jnp.asarray, stages[0].init(KEY, below, None))
    assert below.shape[0] == 3 and state.z_star.shape == (3, *below.shape[1:3], 1)
    seen, draw = set(), jax.jit(lambda key: stages[0].draw(key, 3))
    for number in range(12):
        draws = draw(jax.random.key(number))
        chosen = int(np.argmin(draws.frames))
        frame = stages[0]._step_frame(state, below, draws)
        np.testing.assert_array_equal(frame.real[0], below[chosen])
        np.testing.assert_array_equal(frame.z_star[0], state.z_star[chosen])
        seen.add(chosen)
    assert seen == {0, 1, 2} and draws.z_star.shape == state.z_star.shape
    entered = stages[1].init(KEY, above, state.replace(params_g=20 * state.params_g))  # 20: as if it had learnt
    apart = [float(jnp.abs(one - other).max()) for one, other in itertools.combinations(entered.previous, 2)]
    assert min(apart) > 0.01
    error = np.sqrt(np.mean(np.square(above - entered.previous)))
    assert entered.amplitudes[1] == pytest.approx(given.loss.noise * error, rel=1e-5)


def test_samples_with_a_start_scale_have_the_layouts_of_several_frames(of_a_clip):
    model = api.load(of_a_clip)
    sampler, weights = model._sampler, model._weights
    choosing = sampler.noise(0, 0, 8)[:, 0]  # the first value of a sample's noise chooses its frame
    frames = np.asarray(frame_of_each(choosing[:, None], np.arange(3)))
    for size in (None, (20, 30)):
        noise = np.repeat(sampler.noise(0, 0, 1, size), 8, axis=0)
        noise[:, 0] = choosing
        drawn = np.asarray(sampler.draw(weights, noise, size, start_scale=1).images)
        apart = np.abs(drawn[:, None] - drawn).max((2, 3, 4))
        assert len(set(frames)) > 1
        np.testing.assert_array_equal(apart < 1e-4, frames[:, None] == frames)
    walk = sampler.animation(weights, 0, 4, 1, 0.1, 0.9)
    assert any(np.array_equal(walk[0, : z_star.size], z_star.ravel()) for z_star in weights["z_star"])


def test_samples_of_other_sizes_and_scales(undisturbed):
    model = api.load(undisturbed)
    native = model.sample(3).astype(float)
    assert model.tasks >= {"size", "start_scale", "image", "animation"}
    assert native.shape == (3, 18, 24, 3) and native.std(0).max() > 0
    wide = model.at("48x18").sample(2)
    assert wide.shape == (2, 18, 48, 3)
    last = model.num_scales - 1
    fine = model.at(start_scale=last).sample(3).astype(float)
    # The scales below reconstruct the picture, so that samples differ less.
    assert fine.std(0).mean() < native.std(0).mean()
    assert model.at("30x30", last).sample(1).shape == (1, 30, 30, 3)
    with pytest.raises(UserError, match=f"start_scale {last + 1}: the model in .* has the scales 0 to {last}"):
        model.at(start_scale=last + 1)


@pytest.fixture(scope="module")
def parts(undisturbed):
    """(sampler, weights of the finished run)."""
    model = api.load(undisturbed)
    return model._sampler, jax.device_get(model._weights)


def test_unfinished_pyramids_are_drawn_from(parts):
    sampler, weights = parts
    first = weights | {"scales": weights["scales"][:1], "amplitudes": weights["amplitudes"][:1]}
    noise = sampler.noise(0, 0, 2)
    for size, start in ((None, 0), (None, 1), ((20, 30), 0), ((20, 30), 1)):
        drawn = sampler.draw(first, sampler.noise(0, 0, 2, size), size, start_scale=start).images
        assert drawn.shape == (2, *(size or (18, 24)), 3)
    injected = sampler.draw(first, noise, image=np.zeros((2, 30, 40, 3), np.float32), start_scale=1).images
    np.testing.assert_allclose(injected, 0, atol=0.01)


def test_an_image_takes_the_place_of_the_coarse_scales(parts):
    sampler, weights = parts
    images = np.zeros((2, 36, 48, 3), np.float32)
    images[1] = 0.8
    start = sampler.num_scales - 1
    found = sampler.draw(weights, sampler.noise(0, 0, 2), image=images, start_scale=start).images
    assert found[1].mean() - found[0].mean() > 0.4
    with pytest.raises(UserError, match="at start_scale 1 or above"):
        sampler.draw(weights, sampler.noise(0, 0, 2), image=images)


def test_frames_of_an_animation_stay_close_to_each_other(parts):
    sampler, weights = parts
    noise = sampler.animation(weights, 0, 5, 1, 0.1, 0.9)
    assert noise.shape == sampler.noise(0, 0, 5).shape
    coarsest = weights["z_star"].size
    np.testing.assert_array_equal(noise[:, :coarsest], np.broadcast_to(weights["z_star"].ravel(), (5, coarsest)))
    steps = np.linalg.norm(np.diff(noise, axis=0), axis=1)
    assert 0 < steps.max() < 0.2 * np.sqrt(2 * noise.shape[1])


def test_two_devices_with_a_draw_each_are_one_with_two():
    settings = config(batch_size=2, optim__turns_d=1, optim__turns_g=1)
    small = make_plan(15, 20, 3, config(data__max_size=20))
    real = np.random.default_rng(0).uniform(-1, 1, (1, *small.sizes[0], 3)).astype(np.float32)
    one, shard = ScaleTraining(small, settings, 0), ScaleTraining(small, settings, 0, 2)
    state = one.init(np.zeros(2, np.uint32), real, None)
    noise = np.random.default_rng(1).standard_normal((2, *small.sizes[0], 1)).astype(np.float32)
    alphas = np.array([0.3], np.float32)
    together, _ = jax.jit(one.update)(state, real, Draws(noise, [], alphas), jnp.int32(0))
    each = jax.vmap(lambda noise: shard.update(state, real, Draws(noise, [], alphas), jnp.int32(0)), axis_name=AXIS)
    apart, _ = jax.jit(each)(noise[:, None])
    for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
        np.testing.assert_array_equal(theirs[0], theirs[1])
        # Adam's first step is nearly its rate times the sign: where a gradient is rounding alone, so is the sign.
        apart = np.abs(np.asarray(ours) - theirs[0])
        assert np.mean(apart > 2e-5) < 0.005 and apart.max(initial=0) <= 2 * settings.optim.lr_g


def test_pictures_of_many_channels(tmp_path):
    np.save(tmp_path / "five.npy", np.random.default_rng(0).uniform(0, 9, (1, 30, 40, 5)).astype(np.float32))
    source_config = config(data__path=str(tmp_path / "five.npy"))
    family, task_source = registry.get("singan"), single.open_input(source_config, tmp_path / "none")
    five = family.plan(source_config, task_source)
    chain = Chain(five, False)
    assert five.channels == 5 and chain.noise_shape(1, five.sizes[1])[2] == 5
    stage = family.stages(source_config, five)[1]
    assert stage.data(task_source).shape == (1, *five.sizes[1], 5)
    assert any("256 levels" in line for line in family.describe(source_config, five, task_source))


def test_the_picture_is_quantised_on_the_way(tmp_path):
    Image.fromarray(np.full((40, 40, 3), 40, np.uint8)).save(tmp_path / "flat.png")
    flat = config(data__path=str(tmp_path / "flat.png"))
    family, source = registry.get("singan"), single.open_input(flat, tmp_path / "none")
    made = family.plan(flat, source)
    # Two passes of the resampler take a dark level down by one each.
    np.testing.assert_allclose(family.stages(flat, made)[-1].data(source), 38 / 127.5 - 1, atol=1e-6)
