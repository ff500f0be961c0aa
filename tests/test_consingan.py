"""ConSinGAN in the house: plans, samples of any kind, stops and resumption, several devices, fine-tuning, refusals."""

import os
import signal

import consingan_runs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_runs
from PIL import Image

from siv_jax import api
from siv_jax.data import open_source
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.consingan import parts
from siv_jax.models.consingan.config import ModelConfig
from siv_jax.models.consingan.plan import Plan, make_plan
from siv_jax.models.consingan.sampler import Sampler
from siv_jax.models.consingan.stage import Draws, Stage
from siv_jax.models.interface import AXIS
from siv_jax.nn import pyramid_resize
from siv_jax.nn.frames import frame_of_each
from siv_jax.workdir import kept_input

FAMILY = registry.get("consingan")
KEY = np.array([0, 0], np.uint32)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ({}, "25x34 32x42 42x56 63x84 126x167 188x250"),
        ({"num_stages": 8}, "26x34 29x39 34x45 42x55 54x71 77x102 141x188 188x250"),
        ({"num_stages": 4}, "25x34 42x55 96x128 188x250"),
        ({"mode": "animation", "min_size": 20}, "20x27 26x35 36x47 56x74 121x160 188x250"),
        ({"mode": "harmonization", "min_size": 120, "num_stages": 3}, "120x160 151x200 188x250"),
        ({"num_stages": 2}, "25x34 188x250"),
    ],
)
def test_sizes_of_the_stages(model, sizes):
    plan = make_plan(188, 250, 3, 250, ModelConfig(**model))
    assert [f"{height}x{width}" for height, width in plan.sizes] == sizes.split()


def test_numbers_of_parameters():
    for settings, stages, expected in (({}, 6, 668_227), ({}, 8, 889_795), ({"batch_norm": True}, 6, 670_659)):
        model = ModelConfig(num_stages=stages, **settings)
        assert parts.parameters(make_plan(188, 250, 3, 250, model), model) == (expected, 113_153)


def test_weights_before_the_first_step():
    config = consingan_runs.config(model__width=32, model__batch_norm=True, model__activation="prelu")
    generator = parts.Generator(config.model, 3)
    tree = parts.flat.unraveller(generator.body.shapes)(generator.body.init(np.random.default_rng(0)))["block_1"]
    kernel, bias = tree["conv"]["kernel"], tree["conv"]["bias"]
    assert abs(np.std(kernel) - 0.02) < 0.001 and np.abs(bias).max() <= 1 / np.sqrt(9 * 32) and np.std(bias) > 0.02
    assert abs(np.mean(tree["norm"]["scale"]) - 1) < 0.02 and not tree["norm"]["shift"].any()
    assert tree["slope"] == np.float32(0.25)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert consingan_runs.train(folder)[0] is None
    return folder


@pytest.mark.posix
@pytest.mark.parametrize("stops", [[3, 9]])
def test_a_run_stopped_in_every_stage_goes_on_bit_for_bit(undisturbed, tmp_path, stops):
    folder = tmp_path / "run"
    for stop in stops:

        def watch(step, stop=stop):
            if step >= stop:
                os.kill(os.getpid(), signal.SIGTERM)

        assert consingan_runs.train(folder, watch=watch)[0] == "SIGTERM"
    assert consingan_runs.train(folder)[0] is None
    toy_runs.assert_same_run(folder, undisturbed)


def test_the_page_and_samples(undisturbed):
    model = api.load(undisturbed)
    assert model.step == 12
    images = model.sample(3, seed=1)
    assert images.shape == (3, 18, 24, 3) and images.dtype == np.uint8
    # So small a network has learnt next to nothing: its samples differ by less than a level.
    assert len({image.tobytes() for image in model.generate(model.latents(3, 1))}) == 3
    page = (undisturbed / "index.html").read_text()
    assert "ConSinGAN" in page and "reconstruction" in page


def drawing(sampler: Sampler):
    """`draw` compiled, which takes less time than its operations one by one."""
    return jax.jit(sampler.draw, static_argnames=("size", "start_scale"))


def plan_of(config) -> Plan:
    return FAMILY.plan(config, open_source(config.data))


def trained(config, stages: int | None = None):
    """(plan, weights) after no step of so many stages, enlarged so that noise shows in the samples."""
    source, plan, state = open_source(config.data), plan_of(config), None
    for stage in FAMILY.stages(config, plan)[:stages]:
        state = stage.init(KEY, stage.data(source), state)
    weights = stage.weights(state)
    return plan, weights | {"generator": {name: 4 * vector for name, vector in weights["generator"].items()}}


def test_samples_of_unfinished_trainings_and_of_other_sizes():
    config = consingan_runs.config(model__num_stages=3)
    for stages in (1, 3):
        plan, weights = trained(config, stages)
        sampler = Sampler(plan, config.model)
        draw = drawing(sampler)
        for size in (None, (30, 20)):
            noise = sampler.noise(5, 2, 2, size)
            np.testing.assert_array_equal(sampler.noise(5, 3, 1, size)[0], noise[1])
            images = draw(weights, noise, size=size).images
            assert images.shape == (2, *(size or (18, 24)), 3) and np.abs(images).max() < 1
            # A sample depends on its own noise alone.
            turned = draw(weights, noise[::-1], size=size).images
            np.testing.assert_allclose(turned[::-1], images, atol=1e-6)


def test_start_scales_and_images():
    config = consingan_runs.config(model__num_stages=3)
    plan, weights = trained(config)
    sampler = Sampler(plan, config.model)
    assert sampler.tasks == {"size", "start_scale", "image"} and sampler.num_scales == 3
    lengths = [int(np.prod(shape)) for shape in parts.Generator(config.model, 3).noise_shapes(list(plan.sizes))]
    one, other = sampler.noise(0, 0, 2)
    mixed = np.concatenate([other[: lengths[0]], one[lengths[0] :]])
    draw = drawing(sampler)
    above = [np.asarray(draw(weights, noise[None], start_scale=1).images) for noise in (one, mixed)]
    np.testing.assert_array_equal(*above)  # noise below the start is not looked at
    whole = [np.asarray(draw(weights, noise[None]).images) for noise in (one, mixed)]
    assert np.abs(whole[0] - whole[1]).max() > 1e-5
    # The noise that rebuilds the picture, given as noise, gives the same as a start above it.
    own = np.concatenate([np.asarray(weights["fixed"][0][0]).ravel(), one[lengths[0] :]])
    np.testing.assert_allclose(draw(weights, own[None]).images, above[0], atol=1e-6)
    # An image is the noise of the first stage; there it has this stage's size already.
    image = mixed[: lengths[0]].reshape(1, *plan.sizes[0], 3).clip(-1, 1)
    as_noise = np.concatenate([image.ravel(), one[lengths[0] :]])
    found = draw(weights, one[None], image=image).images
    np.testing.assert_allclose(found, draw(weights, as_noise[None]).images, atol=1e-5)
    # At another size it starts from the picture, enlarged.
    noise, enlarged = sampler.noise(0, 0, 1, (30, 20)), weights["fixed"][0]
    enlarged = pyramid_resize.to_size(jnp.asarray(enlarged), sampler.stage_sizes((30, 20))[0], False)
    found = draw(weights, noise, size=(30, 20), start_scale=2).images
    expected = draw(weights, noise, size=(30, 20), image=enlarged, start_scale=2).images
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_for_models_of_images():
    config = consingan_runs.config(model__mode="editing", model__batch_norm=True)
    plan, weights = trained(config)
    sampler = Sampler(plan, config.model)
    noise, image = sampler.noise(0, 0, 2), np.zeros((2, 40, 50, 3), np.float32)
    draw = drawing(sampler)
    images = draw(weights, noise, image=image).images
    first = int(np.prod(plan.sizes[0])) * 3
    same_first = np.concatenate([noise[:, :first], noise[::-1, first:]], axis=1)  # the others are the picture's own
    np.testing.assert_allclose(draw(weights, same_first, image=image).images, images, atol=1e-6)
    assert np.abs(images[0] - images[1]).max() > 1e-6  # a tenth of the first noise is added


def test_animation_walks_close_to_the_picture():
    config = consingan_runs.config(model__mode="animation", **{"data__path": "example:clip", "data__max_frames": 3})
    plan, weights = trained(config)
    sampler = Sampler(plan, config.model)
    assert "animation" in sampler.tasks and weights["fixed"][0].shape == (3, *plan.sizes[0], 3)
    still = sampler.animation(weights, 0, 3, 0, 1.0, 0.9)
    fixed = np.concatenate([np.asarray(z).ravel() for z in weights["fixed"][1:]])
    np.testing.assert_array_equal(still[:, -fixed.size :], np.stack([fixed] * 3))
    moving = sampler.animation(weights, 0, 3, 1, 0.1, 0.9)
    first = still.shape[1] - fixed.size
    np.testing.assert_array_equal(moving[:, :first], still[:, :first])  # below the start
    with pytest.raises(UserError, match="leave the size out"):
        sampler.draw(weights, sampler.noise(0, 0, 1, (30, 20)), (30, 20), start_scale=1)
    steps = np.diff(moving[:, first:], axis=0)
    assert 0 < np.std(steps) < np.std(fixed)


def test_a_clip_is_rebuilt_frame_by_frame():
    config = consingan_runs.config(**{"data__path": "example:clip", "data__max_frames": 3})
    source, plan = open_source(config.data), plan_of(config)
    stage = FAMILY.stages(config, plan)[0]
    data = stage.data(source)
    assert data["real"].shape == (3, *plan.sizes[0], 3)
    state = stage.init(KEY, data, None)
    seen, draw = set(), jax.jit(lambda key: stage._draw(key, 3))
    for number in range(12):
        draws = draw(jax.random.key(number))
        chosen = int(np.argmin(draws.frames))
        np.testing.assert_array_equal(stage._chosen(draws, data["real"])[0], data["real"][chosen])
        np.testing.assert_array_equal(stage._chosen(draws, state.fixed[0])[0], data["real"][chosen])
        seen.add(chosen)
    assert seen == {0, 1, 2}
    # Samples that start above scale 0 come from all frames, each by its own noise.
    found = frame_of_each(Sampler(plan, config.model).noise(0, 0, 40), data["real"])
    counts = [sum(bool((one == frame).all()) for one in found) for frame in data["real"]]
    assert sum(counts) == 40 and min(counts) > 4


def test_devices_average_the_gradients():
    config = consingan_runs.config(batch_size=2)
    source, plan = open_source(config.data), plan_of(config)
    alone, shared = (Stage(plan, config, 0, shards) for shards in (1, 2))
    data = alone.data(source)
    state = alone.init(KEY, data, None)
    draws = alone._draw(jax.random.key(1), 1)
    expected, losses = jax.jit(alone.update)(state, data, draws.noises[0], draws)

    def on_each(noise):
        return shared.update(state, data, noise, Draws([noise], draws.alphas, draws.frames, draws.first))

    found, parted = jax.jit(jax.vmap(on_each, axis_name=AXIS))(draws.noises[0][:, None])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one[0], one[1])
        if one.dtype == np.float32:
            assert np.mean(np.abs(one[0] - other)) < 1e-5
    for name, value in losses.items():
        np.testing.assert_allclose(np.mean(parted[name]), value, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="does not divide over 2 devices"):
        FAMILY.stages(consingan_runs.config(), plan, 2)


def test_refusals():
    with pytest.raises(UserError, match=r"shorter side of 18 pixels .* above model\.min_size 18"):
        plan_of(consingan_runs.config(model__min_size=18))
    with pytest.raises(UserError, match="go together"):
        consingan_runs.config(finetune__workdir="runs/x")
    with pytest.raises(UserError, match=r"needs model\.mode"):
        consingan_runs.config(finetune__workdir="runs/x", finetune__image="x.png")


def test_memory_grows_with_the_picture():
    small, large = consingan_runs.config(), consingan_runs.config(data__max_size=128, model__width=64)
    estimates = [FAMILY.memory(config, plan_of(config), 1) for config in (small, large)]
    assert 0 < estimates[0] < estimates[1] / 50


@pytest.fixture(scope="module")
def harmonizing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harmonizing") / "run"
    assert consingan_runs.train(folder, model__mode="harmonization", num_steps=2)[0] is None
    return folder


def test_fine_tuning(harmonizing, tmp_path):
    collage = tmp_path / "collage.png"
    Image.new("RGB", (40, 30), (250, 20, 20)).save(collage)
    given = {"model__mode": "harmonization", "finetune__workdir": str(harmonizing), "finetune__image": str(collage)}
    changes = given | {"num_steps": 5}
    assert consingan_runs.train(tmp_path / "run", **changes)[0] is None
    before, after = (api.load(folder) for folder in (harmonizing, tmp_path / "run"))
    assert before.record.plan == after.record.plan and after.step == 5
    moved = jax.tree.map(lambda one, other: float(np.abs(one - other).max()), before._weights, after._weights)
    assert moved["generator"]["body_1"] > 0 and moved["discriminator"] > 0
    assert not any(moved["fixed"]) and not moved["amplitudes"]
    stage = FAMILY.stages(after.config, after.record.plan)[0]
    data = stage.data(kept_input.load(harmonizing))
    assert data["image"].shape == (1, *after.record.plan.sizes[0], 3)
    np.testing.assert_allclose(data["image"][0, 0, 0], np.array([250, 20, 20]) / 127.5 - 1, atol=1e-5)
    with pytest.raises(UserError, match="other settings of the model"):
        plan_of(consingan_runs.config(**given, model__slope=0.3))
    with pytest.raises(UserError, match="trained on another picture"):
        plan_of(consingan_runs.config(**given, data__path=str(collage)))
