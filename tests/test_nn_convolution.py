"""Every form of every convolution is the same function with the same gradients; the fused ones multiply less."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import direct
from siv_jax.nn.convolution import (
    avg_pool2d,
    chosen_form,
    conv2d,
    conv2d_pool,
    forced_form,
    upsample2d,
    upsample_conv2d,
)

OPERATIONS = {"conv2d": conv2d, "upsample_conv2d": upsample_conv2d, "conv2d_pool": conv2d_pool}
# batch, height, width, inputs, outputs
SHAPES = [(1, 1, 1, 3, 5), (2, 1, 2, 4, 3), (2, 6, 1, 2, 1), (5, 7, 9, 3, 6), (64, 2, 3, 1, 1), (1, 4, 5, 512, 6)]


def sample(shape, size, dtype=np.float64):
    batch, height, width, inputs, outputs = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, height, width, inputs)).astype(dtype)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((size, size, inputs, outputs)).astype(dtype))


def with_gradients(operation, form, x, kernel):
    """The output and the gradients of a weighted sum of it, by input and by kernel."""

    def run(x, kernel):
        out, pull = jax.vjp(operation, x, kernel)
        weights = jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape)
        return out, *pull(weights.astype(out.dtype))

    with forced_form(form):
        return jax.jit(run)(x, kernel)


def assert_same(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        scale = np.abs(np.asarray(other, np.float64)).max()
        np.testing.assert_allclose(
            np.asarray(one, np.float64), np.asarray(other, np.float64), atol=tolerance * scale + 1e-14
        )


def naive_convolution(x, kernel):
    """By the definition, in numpy."""
    height, width = x.shape[1:3]
    size = kernel.shape[0]
    reach = size // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    shifts = [(i, j) for i in range(size) for j in range(size)]
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in shifts)


@pytest.mark.parametrize("size", [1, 3])
def test_conv2d_follows_the_definition(size):
    with jax.enable_x64(True):
        x, kernel = sample((2, 5, 4, 3, 6), size)
        assert_same([conv2d(x, kernel)], [naive_convolution(np.asarray(x), np.asarray(kernel))], 1e-13)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 6), (3, 1), (1, 1), (2, 3)])
def test_pooling_and_upsampling_follow_the_definition(height, width):
    x = np.arange(2 * height * width * 3, dtype=np.float32).reshape(2, height, width, 3)
    rows, columns = min(height, 2), min(width, 2)
    pooled = avg_pool2d(jnp.asarray(x))
    assert pooled.shape == (2, max(height // 2, 1), max(width // 2, 1), 3)
    for i in range(pooled.shape[1]):
        for j in range(pooled.shape[2]):
            window = x[:, rows * i : rows * (i + 1), columns * j : columns * (j + 1)]
            np.testing.assert_allclose(pooled[:, i, j], window.mean((1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(upsample2d(jnp.asarray(x)), x.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_forms_agree(name, shape):
    for size in (1, 3):
        with jax.enable_x64(True):
            arrays = sample(shape, size)
            expected = with_gradients(OPERATIONS[name], "plain", *arrays)
            for form in ("fused", "direct"):
                assert_same(with_gradients(OPERATIONS[name], form, *arrays), expected, 1e-12)


@pytest.mark.parametrize("channels", [(5, 7), (20, 22)], ids=["as_convolution", "as_products"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_weight_gradients_in_stripes(name, channels, monkeypatch):
    with jax.enable_x64(True):
        arrays = sample((4, 11, 6, *channels), 3)
        expected = with_gradients(OPERATIONS[name], "plain", *arrays)
        for stripe, small in ((700, 0), (2**18, 140)):
            monkeypatch.setattr(direct, "STRIPE", stripe)
            monkeypatch.setattr(direct, "STRIPE_OF_PRODUCTS", stripe)
            monkeypatch.setattr(direct, "SMALL", small)
            assert_same(with_gradients(OPERATIONS[name], "direct", *arrays), expected, 1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_forms_agree_in_float32(name):
    arrays = sample((2, 64, 80, 32, 24), 3, np.float32)
    expected = with_gradients(OPERATIONS[name], "plain", *arrays)
    assert_same(with_gradients(OPERATIONS[name], "direct", *arrays), expected, 1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
def test_bfloat16(name):
    arrays = sample((2, 8, 6, 4, 8), 3, np.float32)
    halves = [array.astype(jnp.bfloat16) for array in arrays]
    expected = with_gradients(OPERATIONS[name], "plain", *arrays)
    for form in ("fused", "direct"):
        found = with_gradients(OPERATIONS[name], form, *halves)
        assert {array.dtype for array in found} == {jnp.dtype(jnp.bfloat16)}
        assert_same([array.astype(jnp.float32) for array in found], expected, 0.03)


def test_bfloat16_weight_gradients_are_summed_in_float32():
    x = jnp.ones((8, 64, 64, 1), jnp.bfloat16)
    with forced_form("direct"):
        by_kernel = jax.grad(lambda k: conv2d(x, k).sum(dtype=jnp.float32))(jnp.ones((3, 3, 1, 1), jnp.bfloat16))
    # Sums of ones in bfloat16 end at 256.
    assert float(by_kernel[1, 1, 0, 0]) == 8 * 64 * 64


def compiled_forward(name, form, size):
    arrays = sample((2, 32, 32, 16, 16), size, np.float32)
    with forced_form(form):
        return jax.jit(OPERATIONS[name]).lower(*arrays).compile().cost_analysis()["flops"]


@pytest.mark.parametrize("name", ["upsample_conv2d", "conv2d_pool"])
def test_fused_forms_multiply_less(name):
    plain = compiled_forward(name, "plain", 3)
    for form in ("fused", "direct"):
        assert compiled_forward(name, form, 3) < 0.52 * plain
    # A 1x1 kernel works at the low resolution: one multiplication and addition for each of 16 x 16 channels.
    places = 2 * (32 if name == "upsample_conv2d" else 16) ** 2
    assert compiled_forward(name, "direct", 1) < 2 * places * 16 * 16 + 40 * places * 16


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_gradient_that_is_not_needed_is_not_computed(name):
    arrays = sample((2, 16, 16, 8, 8), 3, np.float32)

    def program(by):
        def run(x, kernel, cotangent):
            return jax.vjp(OPERATIONS[name], x, kernel)[1](cotangent)[by]

        with forced_form("direct"):
            cotangent = jax.eval_shape(OPERATIONS[name], *arrays)
            return jax.jit(run).lower(*arrays, cotangent).compile().as_text()

    def gradients(text):
        # That by the kernel is a convolution, or matrix products.
        return len(re.findall(r" convolution\(", text)) + (" dot(" in text)

    assert gradients(program(slice(0, 1))) == 1
    assert gradients(program(slice(1, 2))) == 1
    assert gradients(program(slice(0, 2))) == 2


def objective(kernels, x):
    first, second, third = kernels
    return (upsample_conv2d(jnp.tanh(conv2d_pool(conv2d(x, first), second)), third) ** 2).mean()


def descend(kernels, x):
    return jax.tree.map(lambda k, g: k - 0.1 * g, kernels, jax.grad(objective)(kernels, x))


def start():
    x, kernel = sample((2, 8, 6, 4, 4), 3, np.float32)
    return (kernel * 0.2, kernel * 0.1, kernel * -0.1), x


def test_steps_in_a_loop_are_single_steps():
    kernels, x = start()
    with forced_form("direct"):
        looped = jax.jit(lambda k: jax.lax.fori_loop(0, 3, lambda _, k: descend(k, x), k))(kernels)
        scanned, _ = jax.jit(lambda k: jax.lax.scan(lambda k, _: (descend(k, x), None), k, length=3))(kernels)
    with forced_form("plain"):
        expected = kernels
        for _ in range(3):
            expected = jax.jit(descend)(expected, x)
    assert_same(looped, expected, 1e-5)
    assert_same(scanned, expected, 1e-5)


def test_several_weights_and_several_devices():
    kernels, x = start()
    several = jax.tree.map(lambda k: jnp.stack([k, -2 * k]), kernels)
    with forced_form("direct"):
        mapped = jax.jit(jax.vmap(descend, (0, None)))(several, x)
        spread = jax.pmap(descend, in_axes=(0, None), devices=jax.devices()[:2])(several, x)
    for i in range(2):
        with forced_form("plain"):
            expected = jax.jit(descend)(jax.tree.map(lambda k, i=i: k[i], several), x)
        assert_same([k[i] for k in mapped], expected, 1e-5)
        assert_same([k[i] for k in spread], expected, 1e-5)


def test_forms_are_chosen_and_forced():
    assert chosen_form() == "direct"
    with forced_form("fused"):
        assert chosen_form() == "fused"
        with forced_form("plain"):
            assert chosen_form() == "plain"
        assert chosen_form() == "fused"
    assert chosen_form() == "direct"
    x, kernel = sample((1, 4, 4, 2, 2), 3, np.float32)
    jitted = jax.jit(jax.grad(lambda k: conv2d_pool(x, k).sum()))
    outside = jitted.lower(kernel).as_text()
    with forced_form("plain"):
        assert jitted.lower(kernel).as_text() != outside
    with pytest.raises(ValueError, match="unknown form 'quick'"), forced_form("quick"):
        pass
