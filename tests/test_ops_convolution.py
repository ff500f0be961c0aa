"""Every form of every convolution is the same function with the same gradients; the fused forms multiply less."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.ops.convolution import avg_pool2d, conv2d, conv2d_pool, forced_form, upsample2d, upsample_conv2d

OPERATIONS = {"conv2d": conv2d, "upsample_conv2d": upsample_conv2d, "conv2d_pool": conv2d_pool}
SHAPES = [
    (1, 1, 1, 3, 5), (2, 1, 2, 4, 3), (3, 3, 5, 8, 2), (1, 2, 1, 1, 1), (2, 6, 1, 2, 1), (5, 7, 9, 3, 6),
    (2, 12, 10, 16, 3), (64, 2, 3, 2, 2), (1, 4, 4, 512, 6), (1, 96, 129, 2, 5), (2, 97, 100, 6, 1),
]  # fmt: skip


def sample(shape, size, dtype=np.float64):
    batch, height, width, inputs, outputs = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, height, width, inputs)).astype(dtype)
    return x, rng.standard_normal((size, size, inputs, outputs)).astype(dtype)


def with_gradients(operation, form, x, kernel):
    with forced_form(form):
        out, pull = jax.vjp(operation, x, kernel)
        weights = jnp.cos(jnp.arange(out.size).astype(out.dtype)).reshape(out.shape)
        return out, *pull(weights)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_forms_agree_in_outputs_and_gradients(name, size):
    with jax.enable_x64(True):
        for shape, form in itertools.product(SHAPES, ("fused", "direct")):
            arrays = [jnp.asarray(a) for a in sample(shape, size)]
            expected = with_gradients(OPERATIONS[name], "plain", *arrays)
            for found, wanted in zip(with_gradients(OPERATIONS[name], form, *arrays), expected, strict=True):
                assert found.shape == wanted.shape and found.dtype == wanted.dtype
                np.testing.assert_allclose(found, wanted, atol=1e-11 * np.abs(wanted).max() + 1e-14)
