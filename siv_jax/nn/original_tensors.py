"""Tensors of an original PyTorch implementation under its own names: finding a network's, taking and checking them."""

from typing import Any

import jax
import numpy as np

from siv_jax.errors import UserError

Tensors = dict[str, np.ndarray]

# What PyTorch keeps of a batch normalization beside its parameters.
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def under_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with `prefix`, named by what follows it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def prefixes(tensors: Tensors, *names: str) -> list[str]:
    """What stands before the names of a network's tensors: once for each network that has all of `names`."""
    found = [name.removesuffix(names[0]) for name in tensors if name.endswith(names[0])]
    return [prefix for prefix in found if all(f"{prefix}{name}" in tensors for name in names)]


def only_one(found: list[str], network: str) -> str:
    """The one of these prefixes. Raises UserError: there is none, or several.

    Args:
      network: what people call it, with its article.
    """
    if len(found) != 1:
        there = ", ".join(found) or "none"
        one = f"one {network.split(' ', 1)[1]}"
        raise UserError(f"there should be the weights of {one}, but there is {there}")
    return found[0]


def taken(tensors: Tensors, name: str, ndim: int, network: str) -> np.ndarray:
    """The tensor `name` as float32, removed from `tensors`.

    Raises UserError: it is missing, has other than `ndim` dimensions, or values that are no finite numbers.
    """
    if name not in tensors:
        raise UserError(f"these are not the weights of {network}: {name} is missing")
    array = np.asarray(tensors.pop(name))
    number = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    with np.errstate(over="ignore"):  # what float32 cannot hold is not finite then
        found = array.astype(np.float32) if number else None
    if array.ndim != ndim or found is None or not np.isfinite(found).all():
        raise UserError(
            f"{name} holds {array.dtype}{list(array.shape)}; finite numbers in {ndim} dimensions belong there"
        )
    return found


def require_none_left(tensors: Tensors, network: str) -> None:
    """Raises UserError: tensors are left that no layer has taken."""
    if tensors:
        raise UserError(f"these are not the weights of {network}: {min(tensors)} has no place in one")


def kernel(weight: np.ndarray) -> np.ndarray:
    """The `weight` [out, in, kh, kw] of a convolution as [kh, kw, in, out]; of other arrays the same array."""
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight


def vectors(u: np.ndarray, v: np.ndarray, weight: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Spectral norm's {"u" [out], "v" [kh * kw * in]} of `weight_u` [out] and `weight_v` [in * kh * kw].

    Args:
      weight: the convolution's `weight_orig` [out, in, kh, kw].
      name: of the convolution.

    Raises UserError: their lengths do not fit the weight.
    """
    out, *rest = weight.shape
    if u.shape != (out,) or v.shape != (np.prod(rest),):
        raise UserError(f"{name}: weight_u {u.shape} and weight_v {v.shape} do not fit weight_orig {weight.shape}")
    return {"u": u, "v": v.reshape(rest).transpose(1, 2, 0).ravel()}


def put(tree: dict, path: tuple[str, ...], value: Any) -> None:
    """Puts `value` into a tree of dictionaries; those on the way to it are made."""
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def require_shapes(found: Any, wanted: Any, network: str) -> None:
    """Checks a tree of arrays against a tree of `jax.ShapeDtypeStruct`.

    Raises UserError: a leaf has another shape, is missing, or has no place; names the first.
    """
    leaves, other = (
        {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in listed}
        for listed in map(jax.tree_util.tree_leaves_with_path, (found, wanted))
    )
    for name in sorted(leaves.keys() | other.keys()):
        if leaves.get(name) != other.get(name):
            there, expected = (
                f"of shape {list(shapes[name])}" if name in shapes else "missing" for shapes in (leaves, other)
            )
            problem = f"is {there} and should be {expected}" if name in other else "has no place there"
            raise UserError(f"these weights have the shapes of no {network.split(' ', 1)[1]}: {name} {problem}")


def listed(tensors: Tensors, name: str) -> list[np.ndarray]:
    """The tensors `name`.0, `name`.1, ... or the rows of the one tensor `name`, as float32.

    Raises UserError: there is none, one between them is missing, or values are no finite numbers.
    """
    if np.ndim(tensors.get(name, 0.0)):
        found = list(tensors[name])
    else:
        numbered = {key: one for key, one in under_prefix(tensors, f"{name}.").items() if key.isdecimal()}
        if not numbered or set(numbered) != {str(i) for i in range(len(numbered))}:
            raise UserError(f"{name}.0, {name}.1, ... are missing or not complete")
        found = [numbered[str(i)] for i in range(len(numbered))]
    if any(one.dtype.kind not in "fiu" for one in found):
        raise UserError(f"{name} holds something else than numbers")
    with np.errstate(over="ignore"):
        found = [np.asarray(one, np.float32) for one in found]
    if not all(np.isfinite(one).all() for one in found):
        raise UserError(f"{name} holds values that are not finite")
    return found


def amplitudes(tensors: Tensors, count: int) -> np.ndarray:
    """Those of the noises, float32 [count]: the numbers `amplitudes`.0, ... or one array.

    Raises UserError: there are not so many numbers.
    """
    found = listed(tensors, "amplitudes")
    if len(found) != count or any(one.size != 1 for one in found):
        raise UserError(f"amplitudes should be {count} numbers, one for each scale")
    return np.array([one.item() for one in found], np.float32)
