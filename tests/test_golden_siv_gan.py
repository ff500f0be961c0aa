"""Parity with the original implementation on its own weights after 30 training steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden import GOLDEN_PART, Golden, discriminator_path, generator_path, to_torch_layout

from siv_jax.models.siv_gan import losses, step
from siv_jax.models.siv_gan.discriminator import make_discriminator
from siv_jax.models.siv_gan.generator import make_generator
from siv_jax.models.siv_gan.state import discriminator_shapes, generator_shapes, make_optimizer, optimizer_step
from siv_jax.nn import spectral_norm

_CACHE: dict[str, Golden] = {}


@pytest.fixture(params=["A", "B"])
def golden(request, shared) -> Golden:
    return _CACHE.setdefault(request.param, Golden(shared / "golden", request.param))


def generate(golden: Golden, params, vectors):
    z = golden.arrays["z"][:, :, 0, 0]
    return make_generator(golden.plan, golden.model).apply(
        {"params": spectral_norm.normalize(params, vectors)}, z
    )


def discriminate(golden: Golden, params, vectors, images):
    weights = {"params": spectral_norm.normalize(params, vectors)}
    return make_discriminator(golden.plan, golden.model).apply(weights, images)


def test_plan_is_the_originals(golden):
    settings, plan = golden.about["config"], golden.plan
    assert [plan.height, plan.width] == settings["resolution_HxW"]
    assert [plan.noise_height, plan.noise_width] == settings["noise_shape_HxW"]
    assert plan.num_blocks_g == settings["num_blocks_g"]


def test_parameters_are_the_originals(golden):
    shapes_g = generator_shapes(golden.plan, golden.model)
    shapes_d = discriminator_shapes(golden.plan, golden.model)
    for shapes, (params, _) in ((shapes_g, golden.generator()), (shapes_d, golden.discriminator())):
        assert jax.tree.map(lambda s: s.shape, shapes) == jax.tree.map(np.shape, params)


def test_images_and_features(golden):
    images, features = jax.jit(lambda p, v: generate(golden, p, v))(*golden.generator())
    for ours, theirs in zip(images, golden.images("G_out/image_"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    for ours, theirs in zip(features, golden.images("G_out/feature_"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_logits(golden, kind):
    prefix = "real/image_" if kind == "real" else "G_out/image_"
    images = golden.images(prefix)[-golden.plan.num_blocks_low_level :]
    ours = jax.jit(lambda p, v: discriminate(golden, p, v, images))(*golden.discriminator())
    for part, maps in golden.logits(kind).items():
        assert len(ours[part]) == len(maps) > 0
        for mine, theirs in zip(ours[part], maps, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4)


def test_pyramid_is_the_originals_real_preparation(golden):
    expected = golden.images("real/image_")
    for ours, theirs in zip(step.pyramid(jnp.asarray(expected[-1]), len(expected)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def objective_g(golden, params_g, vectors_g, params_d, vectors_d):
    images, features = generate(golden, params_g, vectors_g)
    logits = discriminate(golden, params_d, vectors_d, images[-golden.plan.num_blocks_low_level :])
    parts = losses.generator_loss(logits, golden.config.loss, golden.plan.num_blocks_d)
    z = jnp.asarray(golden.arrays["z"][:, :, 0, 0])
    weight = golden.config.loss.diversity_weight
    parts["DR"] = -weight * losses.diversity(images, features, z, None, golden.config.loss)
    return sum(parts.values()), parts


def objective_d(golden, params_d, vectors_d):
    fakes = golden.images("G_out/image_")[-golden.plan.num_blocks_low_level :]
    reals = golden.images("real/image_")
    both = [jnp.concatenate(pair) for pair in zip(reals, fakes, strict=True)]
    logits = discriminate(golden, params_d, vectors_d, both)
    batch = golden.config.batch_size
    count = golden.plan.num_blocks_d
    real = losses.real_loss({k: [m[:batch] for m in v] for k, v in logits.items()}, golden.config.loss, count)
    fake = losses.fake_loss({k: [m[batch:] for m in v] for k, v in logits.items()}, golden.config.loss, count)
    return sum(real.values()) + sum(fake.values()), {"Dreal": real, "Dfake": fake}


def close(ours, theirs, tolerance=1e-5):
    assert abs(float(ours) - float(theirs)) <= tolerance * abs(float(theirs)), (float(ours), float(theirs))


def check_gradients(golden, grads, params, which, path_of):
    """Gradients, and the parameters after one Adam step from them, per tensor of the original."""
    optimizer = make_optimizer(2e-4, golden.config.optim)
    stepped, _ = jax.jit(lambda g, p: optimizer_step(optimizer, g, optimizer.init(p), p))(grads, params)
    compared = 0
    for name, theirs in golden.under(f"grad_{which}/").items():
        path, leaf = path_of(name.rsplit(".", 1)[0]), name.rsplit(".", 1)[1]
        leaf = "bias" if leaf == "bias" else "kernel"
        ours, after = grads, stepped
        for key in (*path, leaf):
            ours, after = ours[key], after[key]
        ours = to_torch_layout(path, leaf, np.asarray(ours))
        after = to_torch_layout(path, leaf, np.asarray(after))
        full = f"grad_{which}/{name}"
        if full in golden.no_gradient:
            assert np.abs(ours).max() == 0, f"{full}: its true gradient is zero"
            continue
        exact = golden.double.get(full, theirs)
        assert np.linalg.norm(ours - exact) <= 1e-3 * np.linalg.norm(exact), full
        # Adam's first step is nearly lr * sign(g): where g is rounding noise so is the sign.
        clear = np.abs(exact) > 1e-5 * np.abs(exact).max()
        difference = np.abs(after - golden.arrays[f"adam_{which}/{name}"])
        assert difference[clear].max() <= 2e-6, full
        compared += 1
    assert compared > 20


def test_generator_loss_gradients_and_adam(golden):
    params, vectors = golden.generator()
    fixed = golden.discriminator()
    function = jax.jit(jax.value_and_grad(lambda p: objective_g(golden, p, vectors, *fixed), has_aux=True))
    (total, parts), grads = function(params)
    for part, value in parts.items():
        theirs = golden.arrays[f"loss/G/{GOLDEN_PART.get(part, part)}"]
        close(value, theirs)
    close(total, golden.arrays["loss/G/total"])
    check_gradients(golden, grads, params, "G", generator_path)


def test_discriminator_loss_gradients_and_adam(golden):
    params, vectors = golden.discriminator()
    function = jax.jit(jax.value_and_grad(lambda p: objective_d(golden, p, vectors), has_aux=True))
    (total, sides), grads = function(params)
    for side, parts in sides.items():
        for part, value in parts.items():
            close(value, golden.arrays[f"loss/{side}/{GOLDEN_PART[part]}"])
        close(sum(parts.values()), golden.arrays[f"loss/{side}/total"])
    close(total, golden.arrays["loss/D/total"])
    check_gradients(golden, grads, params, "D", discriminator_path)


def test_power_step_is_the_originals(golden):
    for which, (params, vectors), convert in (
        ("G", golden.generator(), golden.generator),
        ("D", golden.discriminator(), golden.discriminator),
    ):
        state = golden.under(f"{which}_state/") | golden.under(f"train_mode/{which}_state_after/")
        merged = {f"x/{name}": value for name, value in state.items()}
        golden.arrays |= merged
        _, expected = convert("x/")
        golden.arrays = {k: v for k, v in golden.arrays.items() if not k.startswith("x/")}
        ours = spectral_norm.power_step(params, vectors)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-6), ours, expected)
