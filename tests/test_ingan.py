"""InGAN's parts: pictures on canvases, the geometric layer, random transforms, plans and refusals."""

import dataclasses
import functools
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax import config as config_lib
from siv_jax.errors import UserError
from siv_jax.models.ingan import canvas, discriminator, family, geometry, transform
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.network import normalized_part
from siv_jax.models.ingan.objectives import Players
from siv_jax.models.ingan.plan import make_plan, scales_seen
from siv_jax.models.ingan.step import Training
from siv_jax.nn import flat, spectral_norm
from siv_jax.nn.compilation import compiler_options
from siv_jax.train import step_shapes

SMALL = {
    "data.max_size": 48,
    "model.ch_g": 4,
    "model.ch_d": 4,
    "model.num_blocks_g": 1,
    "model.num_downscales_g": 1,
    "transform.crop": 24,
    "transform.max_scale": 1.5,
    "transform.max_shift": 0.3,
}


def config(**changes) -> Config:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(Config(), SMALL | given)


def plan_of(height=32, width=48, channels=3, **changes):
    return make_plan(height, width, channels, config(**changes))


def pixels(*shape, seed=0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


# Canvases.


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
@pytest.mark.parametrize(("width", "height_seen", "width_seen"), [(1, 8, 12), (3, 8, 6), (3, 10, 12)])
def test_a_picture_on_a_canvas_is_mirrored_at_its_own_border(mode, width, height_seen, width_seen):
    x, extent = pixels(2, 10, 12, 3), (height_seen, width_seen)
    wide = [side + 2 * width for side in extent]

    def on_canvas(x):
        return canvas.padded(x, tuple(map(jnp.int32, extent)), width, mode)[:, : wide[0], : wide[1]]

    def alone(x):
        own = x[:, :height_seen, :width_seen]
        return jnp.pad(own, ((0, 0), (width, width), (width, width), (0, 0)), mode=mode)

    (ours, our_gradient), (theirs, their_gradient) = (jax.vjp(function, x) for function in (on_canvas, alone))
    np.testing.assert_array_equal(ours, theirs)
    cotangent = pixels(*theirs.shape, seed=1)
    np.testing.assert_allclose(our_gradient(cotangent)[0], their_gradient(cotangent)[0], atol=1e-6)


@functools.cache
def objectives():
    """Both players' losses and gradients as functions of (params_g, params_d, crops, extent) and a canvas."""
    settings = config(model__max_nets_d=2, batch_size=2)
    plan = make_plan(32, 48, 3, settings)
    players, rng = Players(plan, settings), np.random.default_rng(0)
    networks = players.generator, players.discriminator
    params = [network.init_params(rng) for network in networks]
    vectors = [flat.joined(spectral_norm.init(normalized_part(tree), rng)) for tree in params]
    params = list(map(flat.joined, params))
    crops, noise = pixels(2, 24, 24, 3), 0.01 * pixels(2, 24, 24, 3, seed=2)
    shifts, weights = jnp.array([0.2, -0.1], jnp.float32), jnp.array([0.7, 0.3], jnp.float32)

    def losses(params, extent, canvas_size):
        total, (fakes, metrics) = players.generator_objective(
            *params, (vectors[0], vectors[0]), vectors[1], crops, noise, canvas_size, extent, shifts, weights
        )
        score = players.score(params[1], vectors[1], jax.lax.stop_gradient(fakes), extent, weights, real=False)
        return total + score, (fakes, metrics)

    return params, jax.value_and_grad(losses, has_aux=True)


def test_outputs_on_a_canvas_are_those_of_their_own_size():
    """Losses, fakes and all gradients, with a shape transform, for a part of the canvas and for arrays without rest."""
    params, function = objectives()
    height, width = extent = (20, 34)
    jit = functools.partial(jax.jit, compiler_options=compiler_options())
    (alone, (own, own_metrics)), own_grads = jit(lambda params: function(params, extent, extent))(params)
    traced = jit(lambda params, height, width: function(params, (height, width), (32, 36)))
    (total, (fakes, metrics)), grads = traced(params, jnp.int32(height), jnp.int32(width))
    np.testing.assert_allclose(fakes[:, :height, :width], own, atol=2e-5)
    np.testing.assert_allclose(total, alone, rtol=1e-5)
    for name, value in own_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    for ours, theirs in zip(grads, own_grads, strict=True):
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(ours, theirs, atol=2e-3 * float(np.abs(theirs).max()))


def test_resizing_in_closed_form():
    ramp = jnp.broadcast_to(jnp.arange(5, dtype=jnp.float32)[None, :, None, None], (1, 5, 4, 1))
    corners = canvas.resized(ramp, (5, 4), (9, 4), (9, 4), corners=True)
    np.testing.assert_allclose(corners[0, :, 0, 0], np.linspace(0, 4, 9), atol=1e-6)
    halves = canvas.resized(ramp, (5, 4), (10, 4), (10, 4), corners=False)
    np.testing.assert_allclose(halves[0, :, 0, 0], np.clip((np.arange(10) + 0.5) / 2 - 0.5, 0, 4), atol=1e-6)
    same = canvas.resized(ramp, (5, 4), (5, 4), (5, 4), corners=True)
    np.testing.assert_array_equal(same, ramp)


# The geometric layer.

_transformed = jax.jit(geometry.transformed, static_argnums=(1, 2, 3))
_restored = jax.jit(geometry.restored, static_argnums=(1, 2))


@pytest.mark.parametrize("shifts", [(0.3, -0.2), (-0.25, 0.4), (0.5, -0.5), (0.3, 0.3)])
def test_the_matrix_moves_the_four_points(shifts):
    matrix = np.asarray(geometry.matrix(jnp.array(shifts, jnp.float32)))
    s0, s1 = shifts
    for point, expected in (((-1, -1), (-1 + s0, -1)), ((1, 1), (1 + s1, 1)), ((-1, 0), (-1, 0)), ((1, 0), (1, 0))):
        x, y, third = matrix @ np.array([*point, 1])
        np.testing.assert_allclose((x / third, y / third), expected, atol=1e-6)


def test_no_shifts_are_a_plain_change_of_size():
    x, extent = pixels(1, 12, 10, 2), (jnp.int32(8), jnp.int32(10))
    plain = jax.jit(lambda x: geometry.transformed(x, (12, 10), (16, 16), extent, None))(x)
    still = jax.jit(lambda x: geometry.transformed(x, (12, 10), (16, 16), extent, jnp.zeros(2)))(x)
    np.testing.assert_allclose(still[:, :8, :10], plain[:, :8, :10], atol=1e-5)


@pytest.mark.parametrize("shifts", [(0.2, -0.2), (0.25, 0.15), (-0.3, 0.1)])
def test_the_exact_way_back_restores_what_was_still_seen(shifts):
    rows, columns = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 48), indexing="ij")
    x = jnp.asarray(np.stack([np.sin(2 * rows) * columns, columns], axis=-1)[None], jnp.float32)
    shifts, size, extent = jnp.array(shifts, jnp.float32), (40, 48), (64, 80)
    there = _transformed(x, size, extent, extent, shifts)
    back, seen = _restored(there, extent, size, shifts)
    seen = seen[0, :, :, 0] > 0
    assert 0.7 < seen.mean() <= 1  # a shear alone leaves all in sight, between its margins
    assert np.abs(back - x)[0][seen].mean() < 0.003
    as_run = _transformed(there, extent, size, size, -shifts)
    assert np.abs(as_run - x)[0][seen].mean() > 0.02


# Random transforms.


def test_the_range_of_transforms_grows_in_a_line():
    asked = dataclasses.replace(config().transform, min_scale=0.2, max_scale=2.0, max_shift=0.4, growth_steps=100)
    for step, expected in ((0, (1, 1, 0)), (25, (0.8, 1.25, 0.1)), (100, (0.2, 2, 0.4)), (999, (0.2, 2, 0.4))):
        np.testing.assert_allclose(transform.ranges(step, asked), expected, rtol=1e-6)


def test_sides_and_shifts_are_those_of_their_uniform_numbers():
    settings = config(transform__growth_steps=0, transform__min_scale=0.5, transform__max_scale=2.0)
    plan = make_plan(40, 48, 3, settings)
    uniform = jnp.array([0.25, 0.9, 0.0, 0.75], jnp.float32)
    largest = transform.canvases(plan)[-1]
    drawn = transform.drawn(uniform, 0, plan, settings.transform, largest)
    # ceil(24 * 0.875 / 2) * 2 and ceil(24 * 1.85 / 2) * 2
    assert (int(drawn.height), int(drawn.width)) == (22, 46)
    np.testing.assert_allclose(drawn.shifts, [-0.3, 0.15], atol=1e-6)
    first = transform.drawn(uniform, 0, plan, config(transform__growth_steps=10).transform, largest)
    assert (int(first.height), int(first.width)) == (24, 24) and not np.any(first.shifts)


@pytest.mark.parametrize(("canvases", "sides"), [(1, (36,)), (2, (18, 24, 26, 36)), (3, (16, 24, 26, 36))])
def test_every_output_is_computed_on_the_smallest_canvas_that_holds_it(canvases, sides):
    settings = config(transform__canvases=canvases, transform__growth_steps=0, transform__min_scale=0.6)
    plan = make_plan(32, 48, 3, settings)
    sizes = transform.canvases(plan)
    assert plan.canvas_heights == plan.canvas_widths == sides
    for uniform in jnp.asarray(np.random.default_rng(0).random((50, 4), np.float32)):
        drawn = transform.drawn(uniform, 0, plan, settings.transform, sizes[-1])
        side = np.array([drawn.height, drawn.width])
        assert (side % 2 == 0).all() and (side >= 16).all()
        holding = [size for size in sizes if (np.array(size) >= side).all()]
        smallest = tuple(map(int, transform.canvas_of(drawn, plan)))
        assert smallest == min(holding, key=math.prod)
        again = transform.drawn(uniform, 0, plan, settings.transform, smallest)
        assert (int(again.height), int(again.width)) == tuple(side)


def test_the_first_step_has_the_crop_s_canvas_and_the_next_ones_hardly_more():
    settings = Config()
    plan = make_plan(288, 512, 3, settings)
    shapes = step_shapes.StepShapes(Training(plan, settings), 1)
    key = np.array([0, 3], np.uint32)
    assert shapes.at(key, 0) == (256, 256, 0)
    early = {shapes.at(key, step) for step in range(1, 250)}
    assert early == {(height, width, 0) for height in (256, 264) for width in (256, 264)}
    later = {shapes.at(key, step) for step in range(10_000, 12_000)}
    assert {extra for *_, extra in later} == {1}
    assert len(later) <= len(transform.canvases(plan)) == 36


def test_weights_of_the_scales():
    coarse, even, fine = (np.asarray(discriminator.scale_weights(step, 4, 6, 1000)) for step in (0, 1000, 3000))
    np.testing.assert_allclose(even, [0.25] * 4 + [0, 0], rtol=1e-6)
    np.testing.assert_allclose(coarse[1:4] / coarse[:3], 1.4, rtol=1e-5)
    np.testing.assert_allclose(fine[1:4] / fine[:3], 1.4**-2, rtol=1e-5)
    # A picture with more scales than networks: as run the weights then sum up to less than 1.
    np.testing.assert_allclose(np.asarray(discriminator.scale_weights(1000, 8, 6, 1000)).sum(), 6 / 8, rtol=1e-6)
    table = [discriminator.num_scales((jnp.int32(side), jnp.int32(40)), 1.4, 40) for side in range(16, 41)]
    assert [int(found) for found in table] == [scales_seen(side, 1.4) for side in range(16, 41)]


# Plans and refusals.


def test_plans():
    paper = make_plan(300, 451, 3, Config())
    assert (paper.height, paper.width) == (304, 448)
    assert (paper.crop_height, paper.crop_width, paper.num_nets_d) == (256, 256, 9)
    assert paper.canvas_heights == paper.canvas_widths == (144, 256, 264, 288, 432, 576)
    low = make_plan(100, 400, 5, Config())
    assert (low.crop_height, low.crop_width, low.channels) == (96, 256, 5)
    assert low.num_nets_d == math.ceil(math.log(96 / 16) / math.log(1.4))


def test_refusals():
    with pytest.raises(UserError, match=r"20x200.*too small|20x200.*need 24 pixels"):
        make_plan(200, 20, 3, Config())
    with pytest.raises(UserError, match=r"max_shift is 0\.5; it must be less than or equal to 0\.45"):
        config(transform__max_shift=0.5)
    with pytest.raises(UserError, match=r"optim\.decay_end is 10, not after optim\.decay_start"):
        config(optim__decay_start=20, optim__decay_end=10)
    with pytest.raises(UserError, match="batch_size 1 does not divide over 2 devices: the nearest that does is 2;"):
        family.stages(config(), plan_of(), shards=2)


def test_what_people_are_told():
    source = types.SimpleNamespace(size=(32, 48), channels=3, num_frames=1)
    lines = family.describe(config(), plan_of(), source)
    assert any("G 1 blocks" in line and "D 2 scales" in line for line in lines), lines
    assert any("24x24, brought to 16x16 up to 36x36, shifts up to 0.3" in line for line in lines), lines
    assert not any("learning rates are zero" in line for line in lines)


def test_steps_without_a_learning_rate_are_told():
    source = types.SimpleNamespace(size=(32, 48), channels=3, num_frames=1)
    for steps, told in ((2400, False), (2401, True)):
        changes = {"num_steps": steps, "optim__decay_start": 1000, "optim__decay_end": 2400}
        said = "\n".join(family.describe(config(**changes), plan_of(), source))
        assert ("note      learning rates are zero from optim.decay_end 2,400 on" in said) == told
