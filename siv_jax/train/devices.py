"""Where training runs: the only file that knows devices.

A stage of one model is compiled for one device by jit, or under pmap for several that share each batch: state and data
are then replicated, each device draws its own randomness, and the step averages gradients over all of them.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from siv_jax import system
from siv_jax.errors import UserError
from siv_jax.models.interface import AXIS, PROGRAMS_KEPT, Stage
from siv_jax.nn.compilation import compiler_options
from siv_jax.train import system_memory
from siv_jax.train.step_shapes import Shape, StepShapes

Tree = Any

_ANY_KEY = np.zeros(2, np.uint32)


def use(count: int) -> list[jax.Device]:
    """The devices used: the first `count`, or all there are for 0, over all processes.

    Raises UserError: more than there are, or part of a multi-process job's.
    """
    there = jax.devices()
    if count > len(there):
        kind = jax.default_backend()
        raise UserError(f"--devices {count} asks for more than the {len(there)} {kind} devices there are")
    if count and jax.process_count() > 1 and count != len(there):
        raise UserError(f"--devices {count}: a job of several processes uses all its {len(there)} devices")
    return there[: count or None]


def available_memory() -> int:
    """Bytes that the devices of this process offer, the least of them; on a CPU those that the system can give."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(stats) and all("bytes_limit" in entry for entry in stats):
        return min(entry["bytes_limit"] for entry in stats)
    return system_memory.available()


def peak_memory() -> int:
    """Bytes that the first device of this process has had in use at most; on a CPU those of the whole process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    return system.peak_memory()


def kind() -> str:
    """What the devices are, such as "cpu" or "NVIDIA H200"."""
    return jax.local_devices()[0].device_kind


class Program:
    """Many steps of one stage, compiled, on given devices: one program, or one for each shape that its steps have."""

    def __init__(self, stage: Stage, devices: list[jax.Device]):
        """`stage` was made for as many shards as there are devices."""
        self._stage, self._devices, self._spread = stage, devices, len(devices) > 1
        self._sharding = NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))
        self._shapes = StepShapes(stage, len(devices))
        self._compiled: dict[Shape, jax.stages.Compiled] = {}
        self._zeros: dict[str, np.ndarray] = {}

    def put(self, tree: Tree) -> Tree:
        """Numpy arrays on this process's devices, where `advance` wants them."""
        if self._spread:
            local = sum(device.process_index == jax.process_index() for device in self._devices)
            place = functools.partial(jax.make_array_from_process_local_data, self._sharding)
            return jax.tree.map(lambda leaf: place(np.stack([leaf] * local)), tree)
        # A copy: on a CPU device_put may share numpy's memory, which donation would then hand to the device.
        copy = jax.tree.map(np.array, tree)
        return jax.device_put(jax.tree.map(jnp.array, copy), self._devices[0])

    def snapshot(self, tree: Tree) -> Tree:
        """A copy, on one device, of arrays that `put` placed or a step returned.

        Does not wait, and later steps, which take over the memory of the arrays, cannot change it.
        """
        if self._spread:
            tree = jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
        return _copied(tree, self._spread)

    def fetch(self, tree: Tree) -> Tree:
        """As `snapshot`, as numpy arrays."""
        return jax.device_get(self.snapshot(tree))

    def compile(self, state: Tree, data: Tree, key: np.ndarray = _ANY_KEY, start: int = 0) -> jax.stages.Compiled:
        """Compiles step `start` for numpy arrays like these, or fetches it from the cache on disk; returns it.

        Steps of another shape are compiled when `advance` first meets them. For `key` see there.
        """
        shape = self._shapes.at(key, start)
        step = self._step(shape)

        def metrics(state, data):
            return step(state, data, jax.random.key(0, impl="threefry2x32"), jnp.int32(0))[1]

        if self._spread:
            metrics = jax.vmap(metrics, in_axes=None, axis_name=AXIS, axis_size=1)
        self._zeros = {name: np.zeros((), np.float32) for name in jax.eval_shape(metrics, state, data)}
        return self._program(shape, step, *map(self._placed_like, (state, self._zeros, data)))

    def operations(self, state: Tree, data: Tree) -> float | None:
        """XLA's count for one step with arrays of these shapes; None where it does not count before it has compiled."""
        step = self._step(self._shapes.at(_ANY_KEY, 0))

        def first(state, data):
            return step(state, data, jax.random.key(0, impl="threefry2x32"), jnp.int32(0))

        counted = jax.jit(first).lower(state, data).cost_analysis()
        return counted and counted.get("flops")

    def _step(self, shape: Shape):
        """The step of this shape, traced once: its metrics are asked for before it is compiled."""
        return jax.jit(functools.partial(self._stage.step, shape=shape) if shape else self._stage.step)

    def _program(self, shape: Shape, step, state: Tree, totals: Tree, data: Tree) -> jax.stages.Compiled:
        """Compiles, and keeps, many steps of `shape` in a row for arrays placed like these."""

        def one(state, data, key, at):
            key = jax.random.fold_in(key, at)
            if self._spread:
                key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))
            return step(state, data, key, at)

        def advance(state, totals, data, key, start, count):
            key = jax.random.wrap_key_data(key, impl="threefry2x32")

            def body(at, carry):
                state, metrics = one(carry[0], data, key, at)
                return state, jax.tree.map(jnp.add, carry[1], metrics)

            state, totals = jax.lax.fori_loop(start, start + count, body, (state, totals))
            return state, totals, jax.tree.leaves(state)[0]

        options = {"donate_argnums": (0, 1)}
        if self._spread:
            advance = jax.pmap(advance, AXIS, in_axes=(0, 0, 0, None, None, None), devices=self._devices, **options)
        else:
            advance = jax.jit(advance, **options)
        lowered = advance.lower(state, totals, data, _ANY_KEY, np.int32(0), np.int32(1))
        if len(self._compiled) >= PROGRAMS_KEPT:
            self._compiled.pop(next(iter(self._compiled)))
        self._compiled[shape] = lowered.compile(compiler_options=compiler_options())
        return self._compiled[shape]

    def _placed_like(self, tree: Tree) -> Tree:
        """What `put` makes of numpy arrays like these; on one device their shapes alone, which cost nothing."""
        if self._spread:
            return self.put(tree)
        sharding = SingleDeviceSharding(self._devices[0])
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)

    def zero_totals(self) -> dict[str, jax.Array]:
        """Sums of no metrics yet, as `advance` takes and returns them; after `compile`."""
        return self.put(self._zeros)

    def advance(self, state: Tree, totals: Tree, data: Tree, key: np.ndarray, start: int, count: int):
        """(state, totals, ticket) after steps `start` to `start + count`, whose metrics are added to `totals`.

        Does not wait, except for what is yet to be compiled; the ticket is ready when the steps are done. One program
        serves every count, so how a run is cut into calls does not change its arithmetic. `state` and `totals` are
        given up to the call. `key`, uint32 [2], is the root of all randomness of the stage: a step's own key is
        fold_in(key, step).
        """
        ticket = None
        for shape, first, steps in self._shapes.stretches(key, start, count):
            self._ready(shape, state, totals, data)
            program = self._compiled[shape] = self._compiled.pop(shape)  # the last one in order of use
            state, totals, ticket = program(state, totals, data, key, np.int32(first), np.int32(steps))
        return state, totals, ticket

    def at_once(self, key: np.ndarray, start: int, count: int) -> int:
        """How many of `count` steps from `start` one call of `advance` takes without compiling after its first step."""
        steps, first = 0, self._shapes.at(key, start)
        for shape, _, length in self._shapes.stretches(key, start, count):
            if shape != first and shape not in self._compiled:
                break
            steps += length
        return steps

    def prepare(self, state: Tree, totals: Tree, data: Tree, key: np.ndarray, start: int, count: int) -> None:
        """Compiles what a call of `advance` with these arguments would compile."""
        for shape, _, _ in self._shapes.stretches(key, start, count):
            self._ready(shape, state, totals, data)

    def _ready(self, shape: Shape, state: Tree, totals: Tree, data: Tree) -> None:
        if shape not in self._compiled:
            self._program(shape, self._step(shape), state, totals, data)


@functools.partial(jax.jit, static_argnums=1)
def _copied(tree: Tree, first: bool) -> Tree:
    """New arrays; of stacked ones the first entries."""
    return jax.tree.map(lambda leaf: jnp.copy(leaf[0] if first else leaf), tree)
