"""Spectral normalization against numpy's singular values, and its gradient against its closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import spectral_norm


def tree(seed: int = 0) -> dict:
    """Layers of several shapes, two of one, one element alone, and the exempt dense map."""
    rng = np.random.default_rng(seed)

    def layer(*shape, bias=True):
        made = {"kernel": rng.normal(size=shape).astype(np.float32)}
        return made | ({"bias": rng.normal(size=shape[-1:]).astype(np.float32)} if bias else {})

    return {
        "dense": layer(8, 3, 3, 6),
        "block_0": {"conv1": layer(3, 3, 6, 5), "conv2": layer(3, 3, 5, 5), "shortcut": layer(1, 1, 6, 5, bias=False)},
        "block_1": {"conv1": layer(3, 3, 6, 5), "conv2": layer(3, 3, 5, 1), "shortcut": layer(1, 1, 1, 1, bias=False)},
        "logit": layer(1, 1, 5, 1),
    }


def normalized_layers(params: dict) -> dict[str, np.ndarray]:
    """The matrices [fan_in, out] of all kernels but the dense map's."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("kernel") and not name.startswith("dense"):
            found[name] = np.asarray(leaf, np.float64).reshape(-1, leaf.shape[-1])
    return found


def converged(params: dict, steps: int = 300) -> dict:
    vectors = spectral_norm.init(params, np.random.default_rng(1), iterations=1)
    step = jax.jit(spectral_norm.power_step)
    for _ in range(steps):
        vectors = step(params, vectors)
    return vectors


def test_sigma_becomes_the_largest_singular_value():
    params = tree()
    normalized = normalized_layers(spectral_norm.normalize(params, converged(params)))
    expected = normalized_layers(params)
    assert len(expected) == 7
    for name, matrix in expected.items():
        sigma = np.linalg.svd(matrix, compute_uv=False)[0]
        np.testing.assert_allclose(normalized[name], matrix / sigma, rtol=0, atol=3e-6, err_msg=name)
        assert abs(np.linalg.svd(normalized[name], compute_uv=False)[0] - 1) < 1e-5


def test_the_start_is_close_and_a_step_comes_closer():
    params = tree()
    vectors = spectral_norm.init(params, np.random.default_rng(1))

    def furthest(vectors):
        layers = normalized_layers(spectral_norm.normalize(params, vectors))
        return max(np.linalg.svd(matrix, compute_uv=False)[0] for matrix in layers.values())

    rough = spectral_norm.init(params, np.random.default_rng(1), iterations=1)
    # Power iteration underestimates sigma, so that the norm comes down to 1 from above.
    assert 1 - 1e-5 < furthest(vectors) < 1.1 < furthest(rough)
    assert furthest(spectral_norm.power_step(params, rough)) < furthest(rough)


def test_vectors_have_unit_length_and_the_matrix_s_sides():
    params = tree()
    for vectors in (spectral_norm.init(params, np.random.default_rng(1)), converged(params, 3)):
        pair = vectors["block_0"]["conv1"]
        assert pair["u"].shape == (5,) and pair["v"].shape == (54,)
        assert spectral_norm.shapes(params) == jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), vectors)
        for leaf in jax.tree.leaves(vectors):
            assert abs(np.linalg.norm(leaf) - 1) < 1e-6


def test_power_step_is_one_iteration_of_the_definition():
    params = tree()
    vectors = spectral_norm.init(params, np.random.default_rng(1), iterations=1)
    stepped = spectral_norm.power_step(params, vectors)
    matrix = params["block_0"]["conv2"]["kernel"].reshape(-1, 5).astype(np.float64)
    v = matrix @ vectors["block_0"]["conv2"]["u"]
    v /= np.linalg.norm(v)
    u = matrix.T @ v
    u /= np.linalg.norm(u)
    np.testing.assert_allclose(stepped["block_0"]["conv2"]["v"], v, atol=1e-6)
    np.testing.assert_allclose(stepped["block_0"]["conv2"]["u"], u, atol=1e-6)


def test_power_step_and_normalize_leave_parameters_biases_and_the_dense_map_alone():
    params = tree()
    before = jax.tree.map(np.copy, params)
    vectors = spectral_norm.init(params, np.random.default_rng(1))
    stepped = spectral_norm.power_step(params, vectors)
    normalized = spectral_norm.normalize(params, stepped)
    jax.tree.map(np.testing.assert_array_equal, params, before)
    assert "dense" not in vectors and "dense" not in stepped
    np.testing.assert_array_equal(normalized["dense"]["kernel"], params["dense"]["kernel"])
    np.testing.assert_array_equal(normalized["block_0"]["conv1"]["bias"], params["block_0"]["conv1"]["bias"])
    assert jax.tree.structure(normalized) == jax.tree.structure(params)


def test_the_scale_of_a_kernel_does_not_matter():
    params = tree()
    scaled = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * np.float32(7) if path[0].key != "dense" and path[-1].key == "kernel" else leaf, params
    )
    vectors = spectral_norm.init(params, np.random.default_rng(1))
    ours, theirs = (spectral_norm.normalize(p, spectral_norm.power_step(p, vectors)) for p in (params, scaled))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)


def test_the_gradient_reaches_sigma_with_its_vectors_held():
    """d/dW of <C, W / sigma> with sigma = v . W u is C / sigma - <C, W> / sigma^2 v u^T."""
    params = tree()
    vectors = converged(params, 2)
    rng = np.random.default_rng(5)
    weights = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), params)

    def objective(params, vectors):
        normalized = spectral_norm.normalize(params, vectors)
        return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), normalized, weights)))

    grads, vector_grads = jax.jit(jax.grad(objective, argnums=(0, 1)))(params, vectors)
    for layer in ("conv1", "conv2"):
        shape = params["block_0"][layer]["kernel"].shape
        kernel, cost = (
            np.float64(part["block_0"][layer]["kernel"]).reshape(-1, shape[-1]) for part in (params, weights)
        )
        u, v = (np.float64(vectors["block_0"][layer][name]) for name in "uv")
        sigma = v @ kernel @ u
        expected = cost / sigma - np.sum(cost * kernel) / sigma**2 * np.outer(v, u)
        ours = np.asarray(grads["block_0"][layer]["kernel"]).reshape(expected.shape)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(grads["dense"]["kernel"], weights["dense"]["kernel"])
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(vector_grads))


@pytest.mark.parametrize("value", [0.3, -0.3, -1e-6])
def test_a_kernel_of_one_element_is_its_sign_and_stays(value):
    params = {"block": {"kernel": np.full((1, 1, 1, 1), value, np.float32)}}
    vectors = spectral_norm.init(params, np.random.default_rng(1))

    def objective(params):
        return jnp.sum(spectral_norm.normalize(params, vectors)["block"]["kernel"]) * 3.0

    for _ in range(3):
        result, grad = jax.value_and_grad(objective)(params)
        assert abs(float(result) - 3.0 * np.sign(value)) < 1e-6
        assert float(grad["block"]["kernel"][0, 0, 0, 0]) == 0.0
        vectors = spectral_norm.power_step(params, vectors)
