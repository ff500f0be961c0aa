"""The gradient penalty against its definition, and its gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn.gradient_penalty import gradient_penalty


def pictures(seed):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (1, 7, 6, 3)))


def discriminate(params, images):
    hidden = jax.lax.conv_general_dilated(images, params["first"], (1, 1), "VALID", dimension_numbers=LAYOUT)
    mean, variance = hidden.mean((1, 2), keepdims=True), hidden.var((1, 2), keepdims=True)
    hidden = jax.nn.leaky_relu((hidden - mean) / jnp.sqrt(variance + 1e-5), 0.2)
    return jax.lax.conv_general_dilated(hidden, params["second"], (1, 1), "VALID", dimension_numbers=LAYOUT)


LAYOUT = ("NHWC", "HWIO", "NHWC")


def parameters():
    rng = np.random.default_rng(2)
    return {"first": jnp.asarray(rng.normal(size=(3, 3, 3, 4))), "second": jnp.asarray(rng.normal(size=(3, 3, 4, 1)))}


def test_of_a_linear_map():
    # Each pixel's slope is its own weight vector (3, 4, 0) or (0, 0, 0): norms 5 and 0.
    weights = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0].set(jnp.array([3.0, 4.0, 0.0]))
    images = jnp.zeros((1, 2, 2, 3))
    found = gradient_penalty(lambda x: x * weights, images, images, jnp.float32(0.5))
    assert found == ((5 - 1) ** 2 + 3 * 1) / 4


def test_where_the_slopes_are_taken():
    # The map x^2 / 2 has the slope x: the mix itself.
    real, fake = jnp.full((1, 2, 2, 1), 0.8), jnp.full((1, 2, 2, 1), -0.4)
    found = gradient_penalty(lambda x: x**2 / 2, real, fake, jnp.float32(0.25))
    np.testing.assert_allclose(
        found, (0.25 * 0.8 - 0.75 * 0.4 + 0) ** 2 - 2 * abs(0.25 * 0.8 - 0.75 * 0.4) + 1, rtol=1e-6
    )


def test_gradients_by_weights_are_right():
    with jax.enable_x64(True):
        params, real, fake = parameters(), pictures(0), pictures(1)
        run = jax.jit(lambda params: gradient_penalty(lambda x: discriminate(params, x), real, fake, 0.3))
        slopes = jax.grad(run)(params)
        rng = np.random.default_rng(3)
        for _ in range(5):
            move = {name: rng.normal(size=value.shape) for name, value in params.items()}
            ends = [run({name: params[name] + sign * 1e-6 * move[name] for name in params}) for sign in (1, -1)]
            along = sum((slopes[name] * move[name]).sum() for name in params)
            np.testing.assert_allclose(along, (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


def test_fakes_get_no_gradient():
    with jax.enable_x64(True):
        params, real = parameters(), pictures(0)
        by_fake = jax.grad(lambda fake: gradient_penalty(lambda x: discriminate(params, x), real, fake, 0.3))
        assert not by_fake(pictures(1)).any()


def test_slopes_of_zero_have_finite_gradients():
    images = jnp.ones((1, 2, 2, 3))
    found = jax.grad(lambda weight: gradient_penalty(lambda x: weight * x, images, images, 0.5))(0.0)
    assert found == 0
