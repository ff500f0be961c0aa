"""Spectral normalization (Miyato et al., 2018) as pure functions over parameter trees.

The modules hold plain parameters. `power_step` runs once per training step; `normalize` runs inside the
loss, so that gradients reach sigma = v . W u while u and v count as constants, as run.
"""

import jax
import jax.numpy as jnp
import numpy as np

# The generator's first dense map is the only kernel without spectral norm (as run).
EXEMPT = "dense"
_EPS = 1e-12


def is_normalized(path: tuple[str, ...]) -> bool:
    """Whether the parameter at `path`, such as ("block_0", "conv1", "kernel"), is spectrally normalized."""
    return path[-1] == "kernel" and path[-2] != EXEMPT


def init(params: dict, rng: np.random.Generator, iterations: int = 15) -> dict:
    """Starting vectors for every normalized kernel of `params`, near convergence.

    Returns:
      A tree like `params` with {"u": float32 [out], "v": float32 [fan_in]} in place of each normalized layer's
      parameters; a kernel [..., out] counts as the matrix [fan_in, out]. As run, one iteration precedes the
      first step; a random start underestimates sigma, so here it is nearly converged.
    """

    def vectors(kernel):
        matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
        u = rng.normal(size=matrix.shape[1])
        u /= np.linalg.norm(u)
        for _ in range(iterations):
            v = matrix @ u
            v /= max(np.linalg.norm(v), _EPS)
            u = matrix.T @ v
            u /= max(np.linalg.norm(u), _EPS)
        return {"u": u.astype(np.float32), "v": v.astype(np.float32)}

    return _map_layers(lambda layer: vectors(layer["kernel"]), params)


def power_step(params: dict, vectors: dict) -> dict:
    """One power iteration for every normalized kernel: v <- W u / |W u|, then u <- W^T v / |W^T v|."""

    def step(layer, old):
        matrix = layer["kernel"].reshape(-1, layer["kernel"].shape[-1])
        v = _unit(matrix @ old["u"])
        return {"u": _unit(v @ matrix), "v": v}

    return _map_layers(step, params, vectors)


def normalize(params: dict, vectors: dict) -> dict:
    """`params` with every normalized kernel divided by its sigma = v . W u.

    A kernel of one element is +1 or -1 after division whatever its size, so its gradient is zero; as run
    rounding noise moves it all the same and can flip it. Here the gradient is cut and it stays.
    """

    def divide(layer, pair):
        kernel = layer["kernel"]
        u, v = jax.lax.stop_gradient((pair["u"], pair["v"]))
        normalized = kernel / (v @ (kernel.reshape(-1, kernel.shape[-1]) @ u))
        if kernel.size == 1:
            normalized = jax.lax.stop_gradient(normalized)
        return layer | {"kernel": normalized}

    return _merge(params, _map_layers(divide, params, vectors))


def _unit(x):
    return x / jnp.maximum(jnp.sqrt(jnp.sum(x * x)), _EPS)


def _map_layers(function, params: dict, *others: dict, path: tuple[str, ...] = ()) -> dict:
    """`function(layer, *others' layers)` for each layer with a normalized kernel; other layers are left out."""
    mapped = {}
    for name, value in params.items():
        if not isinstance(value, dict):
            continue
        if "kernel" in value:
            if is_normalized((*path, name, "kernel")):
                mapped[name] = function(value, *(other[name] for other in others))
        else:
            inner = [other[name] for other in others]
            mapped[name] = _map_layers(function, value, *inner, path=(*path, name))
    return mapped


def _merge(params: dict, changed: dict) -> dict:
    """`params` with the layers of `changed` in place of its own."""
    if "kernel" in params:
        return changed
    return {
        name: _merge(value, changed[name]) if name in changed else value for name, value in params.items()
    }
