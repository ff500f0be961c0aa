"""Which shape each step of a stage has, known before the step: a function of the stage's key and its number alone."""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.interface import Stage

Shape = tuple[int, ...]

_BLOCK = 256  # steps whose shapes are found in one call
_BLOCKS_KEPT = 64


class StepShapes:
    """The shapes of a stage's steps on `shards` devices; () for every step of a stage that has no method `shape`."""

    def __init__(self, stage: Stage, shards: int):
        self._varies = hasattr(stage, "shape")
        if not self._varies:
            return

        def of_step(key, at):
            key = jax.random.fold_in(jax.random.wrap_key_data(key, impl="threefry2x32"), at)
            if shards == 1:
                return stage.shape(key, at)
            keys = jax.vmap(lambda shard: jax.random.fold_in(key, shard))(jnp.arange(shards))
            return jnp.max(jax.vmap(stage.shape, in_axes=(0, None))(keys, at), axis=0)

        of_steps = jax.jit(jax.vmap(of_step, in_axes=(None, 0)))

        @functools.lru_cache(_BLOCKS_KEPT)
        def block(key: tuple[int, ...], number: int) -> np.ndarray:
            steps = np.arange(number * _BLOCK, (number + 1) * _BLOCK, dtype=np.int32)
            return np.asarray(of_steps(np.array(key, np.uint32), steps))

        self._block = block

    def at(self, key: np.ndarray, step: int) -> Shape:
        """The shape of a step; `key`, uint32 [2], is the root of the stage's randomness."""
        if not self._varies:
            return ()
        number, place = divmod(step, _BLOCK)
        return tuple(map(int, self._block(tuple(map(int, key)), number)[place]))

    def stretches(self, key: np.ndarray, start: int, count: int) -> Iterator[tuple[Shape, int, int]]:
        """(shape, first step, number of steps) of all stretches of one shape, from `start` to `start + count`."""
        if not self._varies:
            yield (), start, count
            return
        for shape, steps in itertools.groupby(range(start, start + count), lambda step: self.at(key, step)):
            first, *rest = steps
            yield shape, first, 1 + len(rest)
