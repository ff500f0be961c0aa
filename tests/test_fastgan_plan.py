"""FastGAN's shapes for every size, its published numbers of parameters, and settings that it refuses."""

import numpy as np
import pytest

from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.errors import UserError
from siv_jax.models.fastgan import family, network, sampler
from siv_jax.models.fastgan.config import SIZES, Config, LossConfig, ModelConfig
from siv_jax.models.fastgan.memory import parameters
from siv_jax.models.fastgan.plan import make_plan
from siv_jax.train import description, single


def config(**changes) -> Config:
    given = {"loss.reconstruction": "mse", "data.path": "example:balloons", "rendered_size": 0}
    given |= {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(Config(), given)


@pytest.mark.parametrize(
    ("size", "count_g", "count_d"),
    [(256, 29_127_846, 11_526_160), (512, 29_174_392, 11_526_496), (1024, 29_176_512, 11_528_192)],
)
def test_parameters_are_as_many_as_the_originals(size, count_g, count_d):
    assert parameters(make_plan(size, size, 3, size), ModelConfig()) == (count_g, count_d)


@pytest.mark.parametrize(
    ("picture", "start"),
    [((256, 256), (4, 4)), ((188, 250), (3, 4)), ((250, 188), (4, 3)), ((480, 854), (2, 4)), ((100, 900), (2, 4))],
)
def test_the_first_map_has_the_picture_s_shape_as_far_as_it_can(picture, start):
    plan = make_plan(*picture, 3, 256)
    assert (plan.start_height, plan.start_width) == start
    assert (plan.height, plan.width) == (64 * start[0], 64 * start[1]) and plan.size == 256


@pytest.mark.parametrize(
    ("size", "picture"), [*zip(SIZES, [(1, 1), (2, 3), (3, 1), (1, 1), (2, 3)], strict=True), (1024, (1, 1))]
)
def test_networks_of_every_size_and_shape_fit_together(size, picture):
    import jax

    plan, model = make_plan(*picture, 2, size), ModelConfig(ch_g=1, ch_d=1, ch_decoder=2, noise_dim=4)
    generator, discriminator = network.generator(plan, model), network.discriminator(plan, model)
    z = jax.ShapeDtypeStruct((3, 4), np.float32)
    noises = [jax.ShapeDtypeStruct((3, *shape, 1), np.float32) for shape in plan.noise_shapes]

    def both(params_g, params_d, z, noises, quadrant):
        images = generator.module.apply({"params": params_g}, z, noises)
        return images, discriminator.module.apply({"params": params_d}, *images, quadrant)

    quadrant = jax.ShapeDtypeStruct((), np.int32)
    images, (logits, decoded) = jax.eval_shape(both, generator.shapes, discriminator.shapes, z, noises, quadrant)
    assert images[0].shape == (3, plan.height, plan.width, 2)
    assert images[1].shape == (3, *plan.shape(min(128, size // 2)), 2)
    assert logits.shape == (3, plan.num_logits) and (picture != (1, 1) or plan.num_logits == 50)
    assert {made.shape for made in decoded} == {(3, *plan.shape(min(128, size)), 2)}


@pytest.mark.parametrize("size", [16, 96, 100, 330, 1500])
def test_sizes_that_are_no_power_of_two_are_refused(size):
    with pytest.raises(UserError, match=rf"data\.max_size is {size}; .*power of two: 64, 128, 256, 512 or 1024"):
        config(data__max_size=size)


def test_other_settings_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match=r"augment\.policy names 'colour'; it lists any of color, translation, cutout"):
        config(augment__policy="colour,translation")
    with pytest.raises(UserError, match="nearest that does is 6 or 9"):
        family.stages(config(batch_size=8), make_plan(64, 64, 3, 64), shards=3)


def test_lpips_needs_three_channels_and_its_weights(tmp_path, monkeypatch):
    np.save(tmp_path / "deep.npy", np.random.default_rng(0).integers(0, 255, (64, 64, 2), np.uint8))
    deep = config(data__path=tmp_path / "deep.npy", loss__reconstruction="lpips")
    with pytest.raises(UserError, match=r"3 channels and these have 2: set loss\.reconstruction mse"):
        single.make_task(deep, open_source(deep.data), 1)
    monkeypatch.setenv("SIV_JAX_CACHE", str(tmp_path))
    photo = config(loss__reconstruction="lpips")
    with pytest.raises(UserError, match=r"weights fetch.*or set loss\.reconstruction mse"):
        single.make_task(photo, open_source(photo.data), 1)


def test_people_are_told_what_to_expect():
    task = single.make_task(config(data__max_size=64), open_source(config().data), 1)
    lines = "\n".join(description.of(task, 1))
    assert "FastGAN at 64x48" in lines and "from 4x3 to 64x48" in lines
    assert "64 is our own" in lines and "mostly draws copies" in lines


def test_injected_noise_is_normal_over_latents_and_follows_walks():
    shapes = [(6, 8), (6, 8), (24, 32)]
    latents = np.random.default_rng(0).standard_normal((400, sampler.NOISE_VALUES)).astype(np.float32)
    maps = sampler.injected_noise(latents, shapes)
    assert [one.shape for one in maps] == [(400, *shape, 1) for shape in shapes]
    assert abs(np.mean(maps[2])) < 0.02 and np.std(maps[2]) == pytest.approx(1, abs=0.03)
    assert np.abs(np.corrcoef(np.ravel(maps[0]), np.ravel(maps[1]))[0, 1]) < 0.1
    near = sampler.injected_noise(latents + np.float32(0.01), shapes)
    assert np.abs(near[2] - maps[2]).mean() < 0.03
    scaled = sampler.injected_noise(3 * latents, shapes)
    np.testing.assert_allclose(scaled[2], maps[2], atol=1e-4)


def test_loss_settings_have_ranges():
    with pytest.raises(ValueError):
        LossConfig(margin=1.5)
