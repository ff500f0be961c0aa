"""What a model family gives the rest of the package; siv_jax/models/registry.py finds it by its name."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from siv_jax.data.source import Source

# Name of the mapped axis over which a step averages gradients and metrics where it is one of several shards.
AXIS = "shards"
# Compiled programs of steps that are kept; the one used longest ago gives way. On a CPU one can take more than 100 MB.
PROGRAMS_KEPT = 40

Tree = Any  # a pytree of arrays


class Plan(Protocol):
    """Shapes of one model: a frozen dataclass of numbers, texts and tuples, kept as JSON beside the checkpoints.

    height, width, channels: of the pictures that the model makes when asked for no other size.
    """

    height: int
    width: int
    channels: int


class Samples(NamedTuple):
    """images float32 [n, H, W, C] in [-1, 1]; masks int32 [n, H, W] of a family that makes them, else None."""

    images: jax.Array
    masks: jax.Array | None = None


class Stage(Protocol):
    """One part of training that keeps the shapes of its state: the whole of it, or one scale of a model that grows.

    A stage whose steps compute on arrays of different shapes also has `shape(key, step)`: int32 [n], from a step's key
    (of one shard) and number, traced. Its `step` then takes these numbers as `shape`, n Python integers; of several
    shards each number is the largest. Steps of one shape share a program, which is compiled when first needed, so there
    should be few: at most PROGRAMS_KEPT are kept.

    num_steps: steps of this stage.
    """

    num_steps: int

    def data(self, source: Source) -> Tree:
        """Numpy arrays that every step sees, from the source at full size."""

    def init(self, key: np.ndarray, data: Tree, previous: Tree | None) -> Tree:
        """The state before the first step, any pytree of arrays.

        Args:
          key: uint32 [2], raw threefry key data of this stage.
          data: of `data`.
          previous: last state of the stage before, None for the first. May be traced: copy it, do not compute with it
            in numpy.
        """

    def step(self, state: Tree, data: Tree, key: jax.Array, step: jax.Array) -> tuple[Tree, dict[str, jax.Array]]:
        """One training step as a pure function.

        Args:
          key: typed key of this step and, where there are several shards, of this shard.
          step: int32 [], completed steps of this stage.

        Returns:
          The next state, of the same shapes, and metrics: float32 scalars under flat names, where "a/b" is part b of a.
          A metric that is not finite ends the run.
        """

    def weights(self, state: Tree) -> Tree:
        """What sampling needs of a state: dictionaries and lists of arrays."""


class Sampler(Protocol):
    """Draws from weights, as pure functions.

    Weights of every stage can be drawn from, those of an unfinished training too.

    num_scales: of the pyramid that samples pass through; 1 of a model without one.
    tasks: what else it can do beside samples of the plan's size: "size" (samples of any size), "image" (start from an
      image), "start_scale" (start from a scale above the coarsest), "super_resolution" (enlarge an image),
      "animation" (a walk close to the picture that it learnt).
    """

    num_scales: int
    tasks: frozenset[str]

    def noise(self, seed: int, start: int, count: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Noise number `start` to `start + count` of `seed`, float32 [count, ...]; each depends on its number alone."""

    def draw(
        self,
        weights: Tree,
        noise: jax.Array,
        size: tuple[int, int] | None = None,
        image: jax.Array | None = None,
        start_scale: int = 0,
    ) -> Samples:
        """Samples for noise [n, ...] of the same `size`.

        Args:
          size: (height, width) of the samples; None: the plan's. Static.
          image: float32 [n, h, w, C] in [-1, 1] of any size. It takes the place of what scale `start_scale` would get
            from the scale below. With a `size` larger than the image's, of a model for "super_resolution", it is
            enlarged to that size.
          start_scale: counted from the coarsest, 0 to num_scales - 1. Without an image the scales below it
            reconstruct the picture that was learnt, so that samples vary in what is finer alone. Static.

        Raises:
          UserError: an image at a scale that takes none.
        """

    def animation(
        self, weights: Tree, seed: int, count: int, start_scale: int, strength: float, smoothness: float
    ) -> np.ndarray:
        """Noise float32 [count, ...] of the frames of a walk close to the picture, for `draw` at the plan's size.

        Args:
          start_scale: scales below it stay still.
          strength: alpha of the papers, how strongly each frame is drawn back to the picture's own noise, 0 to 1.
          smoothness: beta of the papers, how much of its last move a frame keeps, 0 to 1.
        """


class Family(Protocol):
    """The attributes of a family's module NAME/family.py.

    A family may also have `import_weights(tensors, config, source)`, which takes the tensors of its original
    implementation by name, settings, and the picture or None, and returns (settings, plan, weights for the sampler);
    it raises UserError where they are not such weights or do not fit the rest.

    title: its name for people.
    Plan: its class of plans.
    inputs: what it learns from: {"image"}, or {"image", "mask"}.
    headline: label -> metric, for the progress bar and the top of the page.
    lighter: for people, settings whose smaller values take less memory, beside data.max_size.
    """

    title: str
    Plan: type
    inputs: frozenset[str]
    headline: Mapping[str, str]
    lighter: str

    def plan(self, config: Any, source: Source) -> Plan:
        """The plan for `source`. Raises UserError where none fits."""

    def stages(self, config: Any, plan: Plan, shards: int = 1) -> list[Stage]:
        """The stages of training, in order.

        Args:
          shards: how many devices share each batch. With more than one, `step` runs under the mapped axis AXIS, takes
            its share of the batch, and averages gradients and metrics over the axis.

        Raises:
          UserError: the batch cannot be shared out so.
        """

    def sampler(self, config: Any, plan: Plan) -> Sampler:
        """The sampler of trained weights."""

    def memory(self, config: Any, plan: Plan, num_frames: int, shards: int = 1) -> int:
        """Bytes that training takes on each device, estimated before anything is compiled."""

    def describe(self, config: Any, plan: Plan, source: Source) -> list[str]:
        """Lines for people about the networks, and what the plan made of the source's shape."""
