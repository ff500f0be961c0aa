"""The networks of a scale: five 3x3 convolutions without padding, the first four batch-normalised.

Generators and discriminators differ in their channels alone. Parameters are kept as one flat vector, and so are running
statistics. The convolutions before a batch normalisation have no bias: it would be subtracted again (the published
networks have one there, without a gradient).
"""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn import flat, picture_norm
from siv_jax.nn.convolution import conv2d_valid

LAYERS = 5
SLOPE = 0.2  # of the leaky ReLU
MOMENTUM = 0.1  # of the normalisation's running statistics
STD = 0.02

Values = list[jax.Array]


@dataclasses.dataclass(frozen=True)
class Network:
    """One network.

    shapes: its parameters: kernels [3, 3, I, O], scales and shifts of the normalisations [O], the last bias [O].
    stats_shapes: its running means and variances [O].
    """

    shapes: dict
    stats_shapes: dict
    _params: Callable[[jax.Array], dict]
    _stats: Callable[[jax.Array], dict]

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Flat parameters before the first step: kernels N(0, .02^2), scales N(1, .02^2), shifts 0, as run."""
        bound = 1 / np.sqrt(np.prod(self.shapes["kernels"][-1].shape[:3]))
        tree = {
            "kernels": [STD * rng.standard_normal(leaf.shape) for leaf in self.shapes["kernels"]],
            "scales": [1 + STD * rng.standard_normal(leaf.shape) for leaf in self.shapes["scales"]],
            "shifts": [np.zeros(leaf.shape) for leaf in self.shapes["shifts"]],
            "bias": rng.uniform(-bound, bound, self.shapes["bias"].shape),
        }
        return flat.joined(tree)

    def initial_stats(self) -> np.ndarray:
        """Flat running statistics of no pictures yet: means 0, variances 1."""
        means, variances = (self.stats_shapes[name] for name in ("means", "variances"))
        tree = {"means": [np.zeros(x.shape) for x in means], "variances": [np.ones(x.shape) for x in variances]}
        return flat.joined(tree)

    def in_training(self, params: jax.Array, x: jax.Array, stored_inputs: Values = ()):
        """(output, statistics of each picture [B, stats], inputs of all operations).

        Every picture is normalised by its own statistics: the published batch is one picture.

        Args:
          params: flat.
          x: [B, H, W, I].
          stored_inputs: of all operations, as an earlier pass of the first of these pictures stored them, with older
            parameters. They take the place of this pass's own values of those pictures; gradients flow as if they had
            been computed here. As run, PyTorch went back so: through stored activations with newer parameters.
        """
        inputs: Values = []

        def noted(value):
            inputs.append(value)
            if not stored_inputs:
                return value
            stored = stored_inputs[len(inputs) - 1]
            first, rest = value[: len(stored)], value[len(stored) :]
            return jnp.concatenate([stored + (first - jax.lax.stop_gradient(first)), rest])

        params, means, variances = self._params(params), [], []
        for kernel, scale, shift in zip(params["kernels"], params["scales"], params["shifts"], strict=False):
            x = noted(conv2d_valid(noted(x), kernel))
            mean, variance = jax.lax.stop_gradient(picture_norm.moments(x))
            count = x.shape[1] * x.shape[2]
            means.append(mean[:, 0, 0])
            variances.append(variance[:, 0, 0] * (count / max(1, count - 1)))
            x = _leaky(noted(picture_norm.normalised(x, scale, shift)))
        x = noted(conv2d_valid(noted(x), params["kernels"][-1]) + params["bias"])
        return x, jnp.concatenate(means + variances, axis=1), inputs

    def trained(self, params: jax.Array, stats: jax.Array, x: jax.Array) -> jax.Array:
        """Output of a network in use: normalised by its running statistics."""
        params, stats = self._params(params), self._stats(stats)
        layers = zip(params["kernels"], params["scales"], params["shifts"], *stats.values(), strict=False)
        for kernel, scale, shift, mean, variance in layers:
            x = _leaky(_normalised(conv2d_valid(x, kernel), mean, variance, scale, shift))
        return conv2d_valid(x, params["kernels"][-1]) + params["bias"]


def make(inputs: int, width: int, outputs: int) -> Network:
    """The network from `inputs` to `outputs` channels with `width` in between."""
    channels = [inputs, *[width] * (LAYERS - 1), outputs]
    vectors = [jax.ShapeDtypeStruct((width,), jnp.float32)] * (LAYERS - 1)
    shapes = {
        "kernels": [jax.ShapeDtypeStruct((3, 3, *pair), jnp.float32) for pair in itertools.pairwise(channels)],
        "scales": vectors,
        "shifts": vectors,
        "bias": jax.ShapeDtypeStruct((outputs,), jnp.float32),
    }
    stats_shapes = {"means": vectors, "variances": vectors}
    return Network(shapes, stats_shapes, flat.unraveller(shapes), flat.unraveller(stats_shapes))


def updated_stats(running: jax.Array, batch: jax.Array) -> jax.Array:
    """Running statistics after one more batch."""
    return (1 - MOMENTUM) * running + MOMENTUM * batch


def _normalised(x, mean, variance, scale, shift):
    factor = scale * jax.lax.rsqrt(variance + picture_norm.EPSILON)
    return x * factor + (shift - mean * factor)


def _leaky(x):
    return jnp.where(x > 0, x, SLOPE * x)
