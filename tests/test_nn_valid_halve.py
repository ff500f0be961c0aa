"""Convolutions without padding: wide kernels, and every other place, against XLA's own and its gradients."""

import jax
import numpy as np
import pytest

from siv_jax.nn.convolution import conv2d_valid, conv2d_valid_halve, forced_form


@pytest.mark.parametrize(
    ("operation", "side", "shape"),
    [
        (conv2d_valid, 7, (2, 17, 20, 3, 5)),  # the first layer of a generator
        (conv2d_valid, 7, (2, 12, 13, 6, 3)),  # the last
        (conv2d_valid_halve, 3, (2, 9, 14, 8, 6)),
        (conv2d_valid_halve, 3, (1, 10, 13, 20, 4)),
    ],
)
def test_the_direct_form_and_its_gradients_are_those_of_the_plain_one(operation, side, shape):
    rng = np.random.default_rng(0)
    batch, height, width, inputs, outputs = shape
    x = rng.normal(size=(batch, height, width, inputs)).astype(np.float32)
    kernel = rng.normal(size=(side, side, inputs, outputs)).astype(np.float32)

    def both(form):
        with forced_form(form):
            result, gradients = jax.jit(lambda *given: jax.vjp(operation, *given))(x, kernel)
            cotangent = np.random.default_rng(1).normal(size=result.shape).astype(np.float32)
            return result, *jax.jit(lambda gradients, cotangent: gradients(cotangent))(gradients, cotangent)

    for ours, theirs in zip(both("direct"), both("plain"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(np.abs(theirs).max()))
