"""The convolution without padding: first, second and third derivatives are those of autodiff."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import winograd
from siv_jax.nn.convolution import conv2d_valid, forced_form


def arrays(batch, height, width, inputs, outputs):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 3, inputs, outputs))
    return jnp.asarray(rng.standard_normal((batch, height, width, inputs))), jnp.asarray(kernel)


def derivatives(form, x, kernel):
    """The output, its gradients, and what two more derivatives of a penalty on them give."""

    def slopes(x, kernel):
        return jax.grad(lambda x: jnp.sum(jnp.tanh(conv2d_valid(x, kernel))))(x)

    def penalty(x, kernel):
        return jnp.sum(jnp.square(slopes(x, kernel)) * jnp.cos(x))

    def run(x, kernel):
        once = jax.grad(penalty, (0, 1))(x, kernel)
        twice = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(jax.grad(penalty, 1)(x, kernel))), (0, 1))(x, kernel)
        return conv2d_valid(x, kernel), slopes(x, kernel), once, twice

    with forced_form(form):
        return jax.tree.leaves(jax.jit(run)(x, kernel))


@pytest.fixture(params=["plain sums", "winograd"])
def small_pictures(request, monkeypatch):
    """The second computes small pictures of few channels by Winograd's form, too, in stripes of few rows."""
    if request.param == "winograd":
        for name, value in {"CHANNELS": 1, "MULTIPLICATIONS": 1, "ROWS": 3}.items():
            monkeypatch.setattr(winograd, name, value)


@pytest.mark.parametrize("shape", [(1, 6, 7, 3, 8), (2, 5, 4, 8, 1), (2, 9, 14, 6, 8), (1, 9, 14, 32, 32)])
@pytest.mark.usefixtures("small_pictures")
def test_all_derivatives_are_those_of_autodiff(shape):
    with jax.enable_x64(True):
        x, kernel = arrays(*shape)
        for found, expected in zip(derivatives("direct", x, kernel), derivatives("plain", x, kernel), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-11 * float(np.abs(expected).max()))


@pytest.mark.usefixtures("small_pictures")
def test_it_follows_the_definition():
    with jax.enable_x64(True), forced_form("direct"):
        x, kernel = map(np.asarray, arrays(2, 5, 6, 3, 4))
        expected = sum(x[:, i : i + 3, j : j + 4] @ kernel[i, j] for i in range(3) for j in range(3))
        np.testing.assert_allclose(conv2d_valid(jnp.asarray(x), jnp.asarray(kernel)), expected, atol=1e-13)


def test_every_convolution_of_second_derivatives_is_in_the_fast_layout():
    """Also those of the forward pass: autodiff's own exchange batch and channels, and take three times as long."""
    x, kernel = (jnp.asarray(array, jnp.float32) for array in arrays(1, 12, 13, 8, 8))

    def penalty(kernel):
        slopes = jax.grad(lambda x: jnp.sum(jnp.tanh(conv2d_valid(jnp.tanh(conv2d_valid(x, kernel)), kernel))))(x)
        return jnp.sum(jnp.square(slopes))

    with forced_form("direct"):
        program = jax.jit(jax.grad(penalty)).lower(kernel).as_text()
    layouts = re.findall(r"dim_numbers = (\[.*?\]x\[.*?\])->", program)
    assert len(layouts) > 8
    assert set(layouts) == {"[b, 0, 1, f]x[0, 1, i, o]"}


def test_large_convolutions_have_half_the_multiplications_in_training():
    x, kernel = (jnp.asarray(array, jnp.float32) for array in arrays(1, 60, 62, 32, 64))
    values = jnp.ones((1, 58, 60, 64), jnp.float32)

    def share(function, places):
        """Of the operations of the plain sum."""
        with forced_form("direct"):
            program = jax.jit(function).lower(x, kernel, values).compile()
        return program.cost_analysis()["flops"] / (2 * 9 * 32 * 64 * places)

    def by_x(x, kernel, values):
        return jax.vjp(lambda x: conv2d_valid(x, kernel), x)[1](values)

    # Six for twelve, and the transformations.
    assert share(lambda x, kernel, _: jax.vjp(conv2d_valid, x, kernel)[0], 58 * 60) < 0.65
    assert share(by_x, 60 * 62) < 0.65
    # A program that only draws is as short as it was.
    assert share(lambda x, kernel, _: conv2d_valid(x, kernel), 58 * 60) > 0.95


@pytest.mark.parametrize(("height", "width"), [(3, 300), (40, 66), (41, 67), (65, 68), (300, 5)])
def test_sizes_that_no_tile_or_stripe_fits(height, width, monkeypatch):
    monkeypatch.setattr(winograd, "MULTIPLICATIONS", 1)
    x, kernel = (jnp.asarray(array, jnp.float32) for array in arrays(2, height, width, 32, 64))
    values, gradients = jax.jit(lambda *given: jax.vjp(conv2d_valid, *given))(x, kernel)
    with forced_form("plain"):
        expected, plain_gradients = jax.vjp(conv2d_valid, x, kernel)
    for fast, plain in zip((values, *gradients(values)), (expected, *plain_gradients(values)), strict=True):
        np.testing.assert_allclose(fast, plain, atol=3e-5 * np.std(plain))
