"""Many arrays as one vector, and back; trees by jax.flatten_util.

The state of training keeps each network's weights as one vector: the optimizer and the average are then a few
operations instead of a few per tensor, gradients of all devices meet in one reduction, and a checkpoint is a
handful of arrays.
"""

import math
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.flatten_util import ravel_pytree


def unraveller(shapes) -> Callable[[jax.Array], dict]:
    """The function that makes a vector into a tree of these shapes (`jax.ShapeDtypeStruct`); nothing is computed."""
    found = []

    def ravel(tree):
        vector, unravel = ravel_pytree(tree)
        found.append(unravel)
        return vector

    jax.eval_shape(ravel, shapes)
    return found[0]


def joined(tree) -> np.ndarray:
    """The vector of a tree of numpy arrays; jax.flatten_util would compile a program for each of their shapes."""
    return np.concatenate([np.asarray(leaf, np.float32).ravel() for leaf in jax.tree.leaves(tree)])


def cut(values: jax.Array, shapes: Iterable[tuple[int, ...]]) -> list[jax.Array]:
    """Arrays [..., *shape] of these shapes, one after another in the last axis of `values` [..., n]."""
    shapes, before = list(shapes), values.shape[:-1]
    pieces = jax.lax.split(values, list(map(math.prod, shapes)), axis=len(before))
    return [piece.reshape(*before, *shape) for piece, shape in zip(pieces, shapes, strict=True)]


def drawn(sample: Callable, key: jax.Array, shapes: dict) -> dict:
    """Arrays of these shapes, of `jax.random.normal` or another sampler, by one call: each costs much to compile."""
    values = sample(key, (sum(map(math.prod, shapes.values())),))
    return dict(zip(shapes, cut(values, shapes.values()), strict=True))


def size(shapes) -> int:
    """Elements of a tree in all."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
