"""A network of the pair: its module, with parameters and spectral-norm vectors as trees beside it."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.fastgan.config import ModelConfig
from siv_jax.models.fastgan.discriminator import Discriminator
from siv_jax.models.fastgan.generator import Generator
from siv_jax.models.fastgan.plan import Plan
from siv_jax.nn import spectral_norm
from siv_jax.nn.batch_norm import STATISTICS

Tree = Any
_STD = 0.02


@dataclasses.dataclass(frozen=True)
class Network:
    """shapes, statistics: trees of `jax.ShapeDtypeStruct` for parameters and for batch statistics."""

    module: nn.Module
    shapes: dict
    statistics: dict

    def init_params(self, rng: np.random.Generator) -> Tree:
        """Parameters before the first step: kernels N(0, 0.02^2), scales N(1, 0.02^2), all others 0 (as run).

        They are drawn by numpy: on a CPU compiling JAX's own draws takes long.
        """

        def leaf(path, shape):
            drawn = rng.standard_normal(shape.shape, np.float32) * np.float32(_STD)
            return {"kernel": drawn, "scale": drawn + 1}.get(path[-1].key, np.zeros(shape.shape, np.float32))

        return jax.tree_util.tree_map_with_path(leaf, self.shapes)

    def init_statistics(self) -> Tree:
        """Batch statistics before the first step: of means 0 and variances 1."""
        return jax.tree_util.tree_map_with_path(
            lambda path, shape: np.full(shape.shape, float(path[-1].key == "square"), np.float32), self.statistics
        )

    def apply(self, params: Tree, vectors: Tree, *inputs: Any, statistics: Tree | None = None) -> Any:
        """What the module makes of the inputs, with normalized kernels.

        Args:
          statistics: that batch norm uses; None: those of the batch.
        """
        stored = {} if statistics is None else {STATISTICS: statistics}
        return self.module.apply({"params": spectral_norm.normalize(params, vectors)} | stored, *inputs)

    def batch_statistics(self, params: Tree, vectors: Tree, *inputs: Any) -> Tree:
        """Those of the batch that these inputs are."""
        normalized = spectral_norm.normalize(params, vectors)
        return self.module.apply({"params": normalized}, *inputs, mutable=[STATISTICS])[1][STATISTICS]


def generator(plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32, axis_name: str | None = None) -> Network:
    """The generator; it takes z and noises, see `Generator`."""
    noises = [_floats(1, *shape, 1) for shape in plan.noise_shapes]
    module = Generator(plan, model, dtype, axis_name)
    return _network(module, dataclasses.replace(module, axis_name=None), _floats(1, model.noise_dim), noises)


def discriminator(
    plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32, axis_name: str | None = None
) -> Network:
    """The discriminator; it takes images and perhaps a quadrant, see `Discriminator`."""
    images = [_floats(1, *plan.shape(size), plan.channels) for size in (plan.size, plan.small_size)]
    module = Discriminator(plan, model, dtype, axis_name)
    return _network(module, dataclasses.replace(module, axis_name=None), *images, jax.ShapeDtypeStruct((), jnp.int32))


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _network(module: nn.Module, alone: nn.Module, *inputs: Any) -> Network:
    """`alone` is the module on one device, whose shapes are the same."""
    found = jax.eval_shape(lambda *inputs: alone.init(jax.random.key(0), *inputs), *inputs)
    return Network(module, found["params"], found[STATISTICS])
