"""Parts of FastGAN's networks against plain definitions."""

import cached_weights
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.metrics import lpips as lpips_metric
from siv_jax.models.fastgan.blocks import SkipExcitation
from siv_jax.models.fastgan.discriminator import quarter
from siv_jax.models.fastgan.objectives import nearest
from siv_jax.nn import lpips
from siv_jax.nn.convolution import forced_form, halving_conv2d, small_conv2d

RNG = np.random.default_rng(0)


def naive(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Wherever the kernel lies inside x, by the definition."""
    rows, columns = kernel.shape[:2]
    places = [(x.shape[1] - rows) // stride + 1, (x.shape[2] - columns) // stride + 1]
    out = np.zeros((len(x), *places, kernel.shape[3]))
    for r, c in np.ndindex(*places):
        seen = x[:, stride * r : stride * r + rows, stride * c : stride * c + columns]
        out[:, r, c] = np.einsum("bijc,ijco->bo", seen, kernel)
    return out


@pytest.mark.parametrize("form", ["direct", "fused"])
def test_convolutions_and_their_gradients(form):
    """A convolution is linear in both arguments, so its gradient along a direction is its value there."""
    x, kernel = RNG.standard_normal((2, 8, 6, 3)), RNG.standard_normal((4, 4, 3, 5))
    around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    with forced_form(form):
        for operation, expected, argument in (
            (halving_conv2d, naive(around, kernel, 2), x),
            (small_conv2d, naive(x, kernel, 1), x),
        ):
            x32, kernel32 = np.float32(argument), np.float32(kernel)
            out, backwards = jax.vjp(operation, x32, kernel32)
            np.testing.assert_allclose(out, expected, atol=1e-4)
            weights = RNG.standard_normal(out.shape).astype(np.float32)
            by_x, by_kernel = backwards(weights)
            total = float(np.sum(expected * weights))
            assert float(np.sum(by_x * x32)) == pytest.approx(total, rel=1e-3)
            assert float(np.sum(by_kernel * kernel32)) == pytest.approx(total, rel=1e-3)
            # A single place of the input and of the kernel: the reference's own difference.
            for gradient, change in ((by_x, (1, 3, 2, 1)), (by_kernel, (2, 1, 0, 4))):
                bumped = [np.array(argument), np.array(kernel)]
                bumped[gradient is by_kernel][change] += 1
                padded = np.pad(bumped[0], ((0, 0), (1, 1), (1, 1), (0, 0)))
                there = naive(padded, bumped[1], 2) if operation is halving_conv2d else naive(bumped[0], bumped[1], 1)
                assert float(gradient[change]) == pytest.approx(float(np.sum((there - expected) * weights)), rel=1e-3)


def test_skip_excitation_by_the_formula():
    low, high = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 6, 8, 3), (2, 4, 4, 5)))
    first = RNG.standard_normal((3, 4, 3, 5)).astype(np.float32)
    second = RNG.standard_normal((1, 1, 5, 5)).astype(np.float32)
    params = {"params": {"conv_0": {"kernel": first}, "conv_1": {"kernel": second}}}
    found = SkipExcitation((3, 4)).apply(params, low, high)
    pooled = low.reshape(2, 3, 2, 4, 2, 3).mean((2, 4))
    inner = np.einsum("bijc,ijco->bo", pooled, first)
    gates = 1 / (1 + np.exp(-(inner / (1 + np.exp(-inner))) @ second[0, 0]))
    np.testing.assert_allclose(found, high * gates[:, None, None], atol=1e-5)


def test_quarters_put_together_are_the_map():
    x = jnp.asarray(RNG.standard_normal((2, 6, 8, 3)))
    corners = [quarter(x, jnp.int32(i)) for i in range(4)]
    whole = np.concatenate([np.concatenate(corners[:2], axis=2), np.concatenate(corners[2:], axis=2)], axis=1)
    np.testing.assert_array_equal(whole, x)


def test_nearest_resizing_takes_first_pixels_and_repeats_them():
    x = jnp.asarray(RNG.standard_normal((2, 6, 8, 3)))
    np.testing.assert_array_equal(nearest(x, (3, 4)), x[:, ::2, ::2])
    np.testing.assert_array_equal(nearest(x, (12, 16))[:, 1::2, 1::2], x)


def test_lpips_as_a_loss_is_the_metric_and_has_gradients_everywhere():
    params = cached_weights.load("vgg")
    images = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    images[2:] = images[2:] // 4 + 40
    vectors = lpips_metric.vectors("vgg", params, images)
    expected = np.diag(lpips_metric.distances(vectors[:2], vectors[2:]))
    first, second = np.split(np.float32(images) / 127.5 - 1, 2)

    @jax.jit
    def distance(one, other):
        return lpips.distance(params, lpips.vgg_features(params, one), lpips.vgg_features(params, other))

    np.testing.assert_allclose(distance(first, second), expected, rtol=1e-4)
    # Features that are all zero have no length, and still no gradient that is not finite.
    scaled = jax.grad(lambda x: jnp.sum(lpips.scaled(params, [x])[0]))(jnp.zeros((1, 2, 2, 64)))
    assert np.isfinite(scaled).all()
    # Towards the other picture the distance falls.
    slope = jax.grad(lambda x: jnp.sum(distance(x, second)))(first)
    assert float(np.sum(slope * (second - first))) < 0
