"""A player: its parameters and spectral-norm vectors as two flat vectors, and back."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.ingan import discriminator, generator
from siv_jax.models.ingan.config import ModelConfig
from siv_jax.models.ingan.plan import Plan
from siv_jax.nn import flat, spectral_norm

_INIT_GAIN = 0.01


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of the pair.

    shapes: tree of `jax.ShapeDtypeStruct` of its parameters.
    """

    shapes: dict
    _params: Callable[[jax.Array], dict]
    _vectors: Callable[[jax.Array], dict]

    def init_params(self, rng: np.random.Generator) -> dict:
        """Parameters before the first step: kernels Xavier normal with gain 0.01, scales 1, biases 0 (as run)."""

        def leaf(path, shape):
            if path[-1].key != "kernel":
                return np.full(shape.shape, path[-1].key == "scale", np.float32)
            *taps, inputs, outputs = shape.shape
            std = _INIT_GAIN * np.sqrt(2 / (np.prod(taps) * (inputs + outputs)))
            return rng.standard_normal(shape.shape, np.float32) * np.float32(std)

        return jax.tree_util.tree_map_with_path(leaf, self.shapes)

    def power_step(self, params: jax.Array, vectors: jax.Array) -> jax.Array:
        """Spectral-norm vectors after one more power iteration."""
        stepped = spectral_norm.power_step(normalized_part(self._params(params)), self._vectors(vectors))
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(stepped)])

    def normalized(self, params: jax.Array, vectors: jax.Array) -> dict:
        """The tree of parameters with spectral norm applied."""
        tree = self._params(params)
        return tree | spectral_norm.normalize(normalized_part(tree), self._vectors(vectors))


def of_generator(plan: Plan, model: ModelConfig) -> Network:
    """See siv_jax.models.ingan.generator."""
    return _network(generator.shapes(model.ch_g, model.num_downscales_g, model.num_blocks_g, plan.channels))


def of_discriminator(plan: Plan, model: ModelConfig) -> Network:
    """See siv_jax.models.ingan.discriminator."""
    return _network(discriminator.shapes(model.ch_d, plan.num_nets_d, plan.channels))


def normalized_part(params: dict) -> dict:
    """What has spectral norm: all but the generator's last convolution."""
    return {name: part for name, part in params.items() if name != generator.LAST}


def _network(shapes: dict) -> Network:
    vectors = spectral_norm.shapes(normalized_part(shapes))
    return Network(shapes, flat.unraveller(shapes), flat.unraveller(vectors))
