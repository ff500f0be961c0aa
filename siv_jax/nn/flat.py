"""A tree of float32 arrays as one vector, and back.

The state of training keeps each network's weights as one vector: the optimizer and the average are then a few
operations instead of a few per tensor, gradients of all devices meet in one reduction, and a checkpoint is a
handful of arrays.
"""

import dataclasses

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where each leaf of a tree lies in the vector."""

    treedef: jax.tree_util.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tree) -> "Layout":
        """Layout of a tree of arrays or of `jax.ShapeDtypeStruct`."""
        leaves, treedef = jax.tree.flatten(tree)
        return cls(treedef, tuple(tuple(leaf.shape) for leaf in leaves))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Elements of each leaf."""
        return tuple(int(np.prod(shape)) for shape in self.shapes)

    def join(self, tree) -> np.ndarray:
        """float32 vector of a tree of numpy arrays."""
        return np.concatenate([np.asarray(leaf, np.float32).ravel() for leaf in self.treedef.flatten_up_to(tree)])

    def split(self, vector: jax.Array):
        """The tree in `vector`; differentiable, and its gradient is a single concatenation."""
        pieces = jax.lax.split(vector, self.sizes)
        return self.treedef.unflatten(
            [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]
        )

    def join_traced(self, tree) -> jax.Array:
        """As `join`, inside a traced function."""
        return jax.lax.concatenate([leaf.reshape(-1) for leaf in self.treedef.flatten_up_to(tree)], 0)
