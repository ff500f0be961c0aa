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
from siv_jax.models.interface import AXIS, Stage
from siv_jax.nn.compilation import compiler_options
from siv_jax.train import system_memory

Tree = Any


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
    """Many steps of one stage as one compiled program, on given devices."""

    def __init__(self, stage: Stage, devices: list[jax.Device]):
        """`stage` was made for as many shards as there are devices."""
        self._stage, self._devices, self._spread = stage, devices, len(devices) > 1
        self._sharding = NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))
        self._compiled = None
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

    def compile(self, state: Tree, data: Tree) -> jax.stages.Compiled:
        """Compiles for numpy arrays like these, or fetches the program from the cache on disk; returns it."""
        step = jax.jit(self._stage.step)  # so that asking for its metrics and compiling it share one trace

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

        def metrics(state, data):
            return one(state, data, jax.random.key(0, impl="threefry2x32"), jnp.int32(0))[1]

        if self._spread:
            metrics = jax.vmap(metrics, in_axes=None, axis_name=AXIS, axis_size=1)
        self._zeros = {name: np.zeros((), np.float32) for name in jax.eval_shape(metrics, state, data)}
        options = {"donate_argnums": (0, 1)}
        if self._spread:
            advance = jax.pmap(advance, AXIS, in_axes=(0, 0, 0, None, None, None), devices=self._devices, **options)
        else:
            advance = jax.jit(advance, **options)
        one_step = np.zeros(2, np.uint32), np.int32(0), np.int32(1)
        lowered = advance.lower(*map(self._placed_like, (state, self._zeros, data)), *one_step)
        self._compiled = lowered.compile(compiler_options=compiler_options())
        return self._compiled

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

        Does not wait; the ticket is ready when the steps are done. One program serves every count, so how a
        run is cut into calls does not change its arithmetic. `state` and `totals` are given up to the call.
        `key`, uint32 [2], is the root of all randomness of the stage: a step's own key is fold_in(key, step).
        """
        return self._compiled(state, totals, data, key, np.int32(start), np.int32(count))


@functools.partial(jax.jit, static_argnums=1)
def _copied(tree: Tree, first: bool) -> Tree:
    """New arrays; of stacked ones the first entries."""
    return jax.tree.map(lambda leaf: jnp.copy(leaf[0] if first else leaf), tree)
