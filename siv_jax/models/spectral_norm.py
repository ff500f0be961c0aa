"""Spectral normalization (Miyato et al., 2018) as pure functions over parameter trees.

The modules hold plain parameters. `power_step` runs once per training step; `normalize` runs inside the
loss, so that gradients reach sigma = v . W u while u and v count as constants, as run. A kernel [..., out]
counts as the matrix W [fan_in, out]; kernels of one shape are worked on together.
"""

import jax
import jax.numpy as jnp
import numpy as np

# The generator's first dense map is the only kernel without spectral norm (as run).
_EXEMPT = "dense"
_EPS = 1e-12

Path = tuple[str, ...]


def init(params: dict, rng: np.random.Generator, iterations: int = 15) -> dict:
    """Starting vectors for every normalized kernel of `params`, numpy arrays, near convergence.

    Returns:
      A tree like `params` with {"u": float32 [out], "v": float32 [fan_in]} in place of each normalized layer's
      parameters. As run, one iteration precedes the first step; a random start underestimates sigma, so here
      it is nearly converged.
    """
    vectors = {}
    for path, kernel in _kernels(params).items():
        matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
        u = rng.normal(size=matrix.shape[1])
        v = np.zeros(matrix.shape[0])
        for _ in range(iterations):
            v = matrix @ u
            v /= max(np.linalg.norm(v), _EPS)
            u = matrix.T @ v
            u /= max(np.linalg.norm(u), _EPS)
        _put(vectors, path, {"u": u.astype(np.float32), "v": v.astype(np.float32)})
    return vectors


def power_step(params: dict, vectors: dict) -> dict:
    """One power iteration for every normalized kernel: v <- W u / |W u|, then u <- W^T v / |W^T v|."""
    stepped = {}
    for paths, matrices in _groups(params):
        u = jnp.stack([_get(vectors, path)["u"] for path in paths])
        v = _unit(jnp.einsum("nio,no->ni", matrices, u))
        u = _unit(jnp.einsum("nio,ni->no", matrices, v))
        for i, path in enumerate(paths):
            _put(stepped, path, {"u": u[i], "v": v[i]})
    return stepped


def normalize(params: dict, vectors: dict) -> dict:
    """`params` with every normalized kernel divided by its sigma = v . W u.

    A kernel of one element is +1 or -1 after division whatever its size, so its gradient is zero; as run
    rounding noise moves it all the same and can flip it. Here the gradient is cut and it stays.
    """
    normalized = {}
    for paths, matrices in _groups(params):
        pairs = [jax.lax.stop_gradient(_get(vectors, path)) for path in paths]
        u, v = jnp.stack([pair["u"] for pair in pairs]), jnp.stack([pair["v"] for pair in pairs])
        sigma = jnp.einsum("ni,ni->n", v, jnp.einsum("nio,no->ni", matrices, u))
        divided = matrices / sigma[:, None, None]
        if matrices.shape[1:] == (1, 1):
            divided = jax.lax.stop_gradient(divided)
        for i, path in enumerate(paths):
            layer = _get(params, path)
            _put(normalized, path, layer | {"kernel": divided[i].reshape(layer["kernel"].shape)})
    if _EXEMPT in params:
        normalized[_EXEMPT] = params[_EXEMPT]
    return normalized


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True)), _EPS)


def _groups(params: dict) -> list[tuple[list[Path], jax.Array]]:
    """Paths of the normalized layers whose kernels have one matrix shape, with their matrices [n, fan_in, out]."""
    groups: dict[tuple[int, int], list[Path]] = {}
    kernels = _kernels(params)
    for path, kernel in kernels.items():
        groups.setdefault((kernel.size // kernel.shape[-1], kernel.shape[-1]), []).append(path)
    return [
        (paths, jnp.stack([kernels[path].reshape(shape) for path in paths])) for shape, paths in groups.items()
    ]


def _kernels(params: dict, path: Path = ()) -> dict[Path, jax.Array]:
    """Every normalized kernel under its layer's path."""
    if "kernel" in params:
        return {} if path[-1] == _EXEMPT else {path: params["kernel"]}
    found = {}
    for name, value in params.items():
        found |= _kernels(value, (*path, name))
    return found


def _get(tree: dict, path: Path) -> dict:
    for name in path:
        tree = tree[name]
    return tree


def _put(tree: dict, path: Path, value: dict) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value
