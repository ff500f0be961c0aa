"""The networks as parts with one flat vector of parameters each: the generator's head, bodies and tail, and D.

A body is a part, so that a stage can train the newest bodies, each at its own rate, and leave the others as they are.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.consingan import networks
from siv_jax.models.consingan.config import ModelConfig
from siv_jax.models.consingan.plan import Plan
from siv_jax.nn import bicubic_resize, flat
from siv_jax.nn.convolution import padded

Vectors = dict[str, jax.Array]  # parameters of the generator: "head", "body_0", "body_1", ..., "tail"

_STD = 0.02
# What a body takes off both sides of an axis, and that a noise map has in excess where features are enlarged for it.
_MARGIN = 2 * networks.BODY_BORDER


@dataclasses.dataclass(frozen=True)
class Part:
    """One module. shapes: tree of `jax.ShapeDtypeStruct` of its parameters."""

    module: nn.Module
    shapes: dict

    @classmethod
    def of(cls, module: nn.Module, channels: int) -> "Part":
        """`channels`: of its input."""
        like = jax.ShapeDtypeStruct((1, 16, 16, channels), jnp.float32)
        return cls(module, jax.eval_shape(lambda x: module.init(jax.random.key(0), x), like)["params"])

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Parameters before the first step (as run).

        Kernels are N(0, 0.02^2), scales of normalisation N(1, 0.02^2), biases uniform within 1/sqrt(inputs of a unit).
        """

        def layer(shapes: dict) -> dict:
            if "kernel" in shapes:
                bound = 1 / math.sqrt(math.prod(shapes["kernel"].shape[:3]))
                bias = rng.uniform(-bound, bound, shapes["bias"].shape).astype(np.float32)
                return {"kernel": _normal(rng, shapes["kernel"].shape, 0.0), "bias": bias}
            if "scale" in shapes:
                shape = shapes["scale"].shape
                return {"scale": _normal(rng, shape, 1.0), "shift": np.zeros(shape, np.float32)}
            return {
                name: np.full(inner.shape, networks.PRELU_START, np.float32) if name == "slope" else layer(inner)
                for name, inner in shapes.items()
            }

        return flat.joined(layer(self.shapes))

    def apply(self, vector: jax.Array, x: jax.Array) -> jax.Array:
        """What the module makes of x [B, H, W, channels]."""
        return self.module.apply({"params": flat.unraveller(self.shapes)(vector)}, x)


class Generator:
    """The generator at any stage: as many stages as there are noises."""

    def __init__(self, model: ModelConfig, channels: int):
        self._enlarges = model.mode in ("generation", "animation")
        self._model, self._channels = model, channels
        self.head = Part.of(networks.Head(model), channels)
        self.body = Part.of(networks.Body(model), model.width)
        self.tail = Part.of(networks.Tail(channels), model.width)

    def part(self, name: str) -> Part:
        """Of a name in `Vectors`."""
        return {"head": self.head, "tail": self.tail}.get(name, self.body)

    def noise_shapes(self, sizes: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Shapes [h, w, c] of the noises of one sample whose stages have these sizes."""
        margin = _MARGIN if self._enlarges else 0
        later = [(height + margin, width + margin, self._model.width) for height, width in sizes[1:]]
        return [(*sizes[0], self._channels), *later]

    def __call__(self, vectors: Vectors, amplitudes: jax.Array, noises: list[jax.Array]) -> jax.Array:
        """Pictures [B, h, w, C] in (-1, 1) of the last of the stages.

        Args:
          amplitudes: [stages] or more; those of the noises, of which the first is not used.
          noises: one a stage, [B, ...] of `noise_shapes`.
        """
        x = self.head.apply(vectors["head"], noises[0])
        border = networks.BODY_BORDER
        if self._enlarges:  # by less than the body takes off: it is not to see a border of zeros alone
            x, border = bicubic_resize.resize(x, (x.shape[1] + 2, x.shape[2] + 2)), border - 1
        x = self.body.apply(vectors["body_0"], padded(x, border))
        for stage, noise in enumerate(noises[1:], 1):
            disturbance = amplitudes[stage] * noise
            if self._enlarges:
                size = noise.shape[1] - _MARGIN, noise.shape[2] - _MARGIN
                kept, around = (bicubic_resize.resize(x, to) for to in (size, noise.shape[1:3]))
                disturbed = around + disturbance
            else:
                kept = bicubic_resize.resize(x, noise.shape[1:3])
                disturbed = padded(kept + disturbance, networks.BODY_BORDER)
            x = self.body.apply(vectors[f"body_{stage}"], disturbed) + kept
        return self.tail.apply(vectors["tail"], x)


def discriminator(plan: Plan, model: ModelConfig) -> Part:
    """The discriminator, the same at all stages."""
    return Part.of(networks.Discriminator(model), plan.channels)


def parameters(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    """Numbers of parameters of the generator after all stages, and of the discriminator."""
    generator = Generator(model, plan.channels)
    sizes = {part: flat.size(getattr(generator, part).shapes) for part in ("head", "body", "tail")}
    return sizes["head"] + plan.num_stages * sizes["body"] + sizes["tail"], flat.size(discriminator(plan, model).shapes)


def _normal(rng: np.random.Generator, shape: Any, mean: float) -> np.ndarray:
    return np.float32(mean) + np.float32(_STD) * rng.standard_normal(shape, np.float32)
