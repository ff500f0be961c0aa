"""Spectral normalization (Miyato et al., 2018) as pure functions over parameter trees.

The modules hold plain parameters. `power_step` runs once per training step; `normalize` runs inside the
loss, so that gradients reach sigma = v . W u while u and v count as constants, as run. A kernel [..., out]
counts as the matrix W [fan_in, out]. Matrices of similar shapes are padded with zeros, which change no product and no
norm, and computed as one batch: one by one they took a third of all operations that a GPU launches in a step.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

# Kernels without spectral norm (as run): the generator's first dense map, and its head of masks.
_EXEMPT = ("dense", "to_mask")
_EPS = 1e-12
# Padding zeros at most, as a share of all weights.
_PADDING = 0.25

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
        matrix = np.asarray(_matrix(kernel), np.float64)
        u = rng.normal(size=matrix.shape[1])
        v = np.zeros(matrix.shape[0])
        for _ in range(iterations):
            v = matrix @ u
            v /= max(np.linalg.norm(v), _EPS)
            u = matrix.T @ v
            u /= max(np.linalg.norm(u), _EPS)
        vectors[path] = {"u": u.astype(np.float32), "v": v.astype(np.float32)}
    return unflatten_dict(vectors)


def shapes(params: dict) -> dict:
    """Tree of `jax.ShapeDtypeStruct` for the vectors of parameters with these shapes."""
    vectors = {}
    for path, kernel in _kernels(params).items():
        rows, columns = _matrix_shape(kernel)
        vectors[path] = {name: jax.ShapeDtypeStruct((n,), jnp.float32) for name, n in (("u", columns), ("v", rows))}
    return unflatten_dict(vectors)


def power_step(params: dict, vectors: dict) -> dict:
    """One power iteration for every normalized kernel: v <- W u / |W u|, then u <- W^T v / |W^T v|."""
    stepped, kernels, vectors = {}, _kernels(params), flatten_dict(vectors)
    for paths, matrices in _groups(kernels):
        u = _stacked_vectors(vectors, paths, "u", matrices.shape[2])
        v = _unit(jnp.einsum("nio,no->ni", matrices, u))
        u = _unit(jnp.einsum("nio,ni->no", matrices, v))
        for path, own_u, own_v in zip(paths, _unstacked(u), _unstacked(v), strict=True):
            rows, columns = _matrix_shape(kernels[path])
            stepped[path] = {"u": own_u[:columns], "v": own_v[:rows]}
    return unflatten_dict(stepped)


def normalize(params: dict, vectors: dict) -> dict:
    """`params` with every normalized kernel divided by its sigma = v . W u.

    A kernel of one element is +1 or -1 after division whatever its size, so its gradient is zero; as run
    rounding noise moves it all the same and can flip it. Here the gradient is cut and it stays.
    """
    normalized, kernels, vectors = flatten_dict(params), _kernels(params), flatten_dict(vectors)
    for paths, matrices in _groups(kernels):
        u = jax.lax.stop_gradient(_stacked_vectors(vectors, paths, "u", matrices.shape[2]))
        v = jax.lax.stop_gradient(_stacked_vectors(vectors, paths, "v", matrices.shape[1]))
        sigma = jnp.einsum("ni,ni->n", v, jnp.einsum("nio,no->ni", matrices, u))
        for path, divided in zip(paths, _unstacked(matrices / sigma[:, None, None]), strict=True):
            kernel = kernels[path]
            rows, columns = _matrix_shape(kernel)
            own = divided[:rows, :columns].reshape(kernel.shape)
            normalized[*path, "kernel"] = own if kernel.size > 1 else jax.lax.stop_gradient(own)
    return unflatten_dict(normalized)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True)), _EPS)


def _groups(kernels: dict[Path, jax.Array]) -> list[tuple[list[Path], jax.Array]]:
    """Paths of the normalized layers in groups, with the matrices [n, rows, columns] of each."""
    by_shape: dict[tuple[int, int], list[Path]] = {}
    for path, kernel in kernels.items():
        by_shape.setdefault(_matrix_shape(kernel), []).append(path)
    groups = []
    for shapes in _similar(tuple((shape, len(paths)) for shape, paths in by_shape.items())):
        paths = [path for shape in shapes for path in by_shape[shape]]
        rows, columns = _enclosing(shapes)
        groups.append((paths, jnp.stack([_zero_padded(_matrix(kernels[path]), rows, columns) for path in paths])))
    return groups


@functools.cache
def _similar(counts: tuple[tuple[tuple[int, int], int], ...]) -> list[list[tuple[int, int]]]:
    """Groups of shapes that are padded to one size and worked on together.

    Args:
      counts: (shape, number of matrices of that shape) for each shape.

    Greedy: the two groups whose union needs the fewest padding zeros are merged, as long as all padding together
    stays below _PADDING of the weights.
    """
    groups = [([shape], count) for shape, count in counts]
    size = sum(rows * columns * count for (rows, columns), count in counts)

    def filled(group) -> int:
        rows, columns = _enclosing(group[0])
        return rows * columns * group[1]

    def union(pair):
        return pair[0][0] + pair[1][0], pair[0][1] + pair[1][1]

    while len(groups) > 1:
        pair = min(itertools.combinations(groups, 2), key=lambda pair: filled(union(pair)) - sum(map(filled, pair)))
        rest = [group for group in groups if group not in pair]
        if sum(map(filled, [*rest, union(pair)])) > (1 + _PADDING) * size:
            break
        groups = [*rest, union(pair)]
    return [shapes for shapes, _ in groups]


def _enclosing(shapes: list[tuple[int, int]]) -> tuple[int, int]:
    return max(rows for rows, _ in shapes), max(columns for _, columns in shapes)


def _zero_padded(x: jax.Array, *shape: int) -> jax.Array:
    return jnp.pad(x, [(0, wanted - there) for wanted, there in zip(shape, x.shape, strict=True)])


def _stacked_vectors(vectors: dict[Path, jax.Array], paths: list[Path], name: str, side: int) -> jax.Array:
    """u or v of a group, padded to [n, side]."""
    return jnp.stack([_zero_padded(vectors[*path, name], side) for path in paths])


def _unstacked(x: jax.Array) -> list[jax.Array]:
    """x[0], x[1], ...; the gradient is a single concatenation."""
    return [piece[0] for piece in jax.lax.split(x, (1,) * x.shape[0])]


def _matrix_shape(kernel: jax.Array) -> tuple[int, int]:
    return kernel.size // kernel.shape[-1], kernel.shape[-1]


def _matrix(kernel: jax.Array) -> jax.Array:
    return kernel.reshape(_matrix_shape(kernel))


def _kernels(params: dict) -> dict[Path, jax.Array]:
    """Every normalized kernel under its layer's path."""
    leaves = flatten_dict(params).items()
    return {tuple(path): leaf for (*path, name), leaf in leaves if name == "kernel" and path[-1] not in _EXEMPT}
