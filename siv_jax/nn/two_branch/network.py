"""A player: its module, with parameters and spectral-norm vectors kept as two flat vectors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn import flat, spectral_norm
from siv_jax.nn.two_branch.blocks import KERNEL_STD
from siv_jax.nn.two_branch.plan import Plan


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of the pair.

    shapes: tree of `jax.ShapeDtypeStruct` for the module's parameters.
    """

    module: nn.Module
    shapes: dict
    _params: Callable[[jax.Array], dict]
    _vectors: Callable[[jax.Array], dict]

    def init_params(self, rng: np.random.Generator) -> dict:
        """Parameters before the first step: kernels are N(0, 0.02^2), biases zero (as run).

        They are drawn by numpy: on a CPU compiling JAX's own draws takes longer than everything else before the
        first step.
        """

        def leaf(path, shape):
            if path[-1].key == "bias":
                return np.zeros(shape.shape, np.float32)
            return rng.standard_normal(shape.shape, np.float32) * np.float32(KERNEL_STD)

        return jax.tree_util.tree_map_with_path(leaf, self.shapes)

    def power_step(self, params: jax.Array, vectors: jax.Array) -> jax.Array:
        """Spectral-norm vectors after one more power iteration."""
        stepped = spectral_norm.power_step(self._params(params), self._vectors(vectors))
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(stepped)])

    def apply(self, params: jax.Array, vectors: jax.Array, *inputs: Any, **options: Any):
        """What the module, with normalized kernels, makes of the inputs."""
        normalized = spectral_norm.normalize(self._params(params), self._vectors(vectors))
        return self.module.apply({"params": normalized}, *inputs, **options)


def network(module: nn.Module, *inputs: Any) -> Network:
    """The network of a module that takes such `inputs` (`jax.ShapeDtypeStruct`); nothing is computed."""
    shapes = jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x), *inputs)["params"]
    return Network(module, shapes, flat.unraveller(shapes), flat.unraveller(spectral_norm.shapes(shapes)))


def image_shapes(plan: Plan) -> list[jax.ShapeDtypeStruct]:
    """What a discriminator sees of one picture: its N_ll finest scales, coarse to fine."""
    return [
        jax.ShapeDtypeStruct((1, plan.height >> i, plan.width >> i, plan.channels), jnp.float32)
        for i in reversed(range(plan.num_blocks_low_level))
    ]
