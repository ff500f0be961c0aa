"""The only file that knows devices and hosts: where a step runs, on how many devices, and how often per call.

One device runs a jitted loop over steps; several run the same loop under pmap, with replicated state, a share
of the batch and other random draws on each, and gradients averaged over all of them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.geometry import Plan
from siv_jax.state import TrainState
from siv_jax.step import make_train_step

AXIS = "devices"

# Halve the compile time and quarter its memory on a CPU and cost the steps nothing: the step is hundreds of
# small operations, and its time goes into convolutions that a library computes.
_COMPILER_OPTIONS = {
    "cpu": {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False},
}


def compute_dtype(name: str) -> jnp.dtype:
    """model.dtype as a dtype: "auto" is bfloat16 on accelerators, float32 on a CPU."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


def is_first_process() -> bool:
    """Whether this process writes what all of them share."""
    return jax.process_index() == 0


def use_devices(count: int, batch_size: int) -> int:
    """How many devices a run uses: `count`, or all there are for 0.

    Raises:
      UserError: more than there are, part of a multi-process job's, or a batch that does not divide over them.
    """
    there = jax.device_count()
    if count > there:
        raise UserError(
            f"--devices {count} asks for more than the {there} {jax.default_backend()} devices there are"
        )
    if count and jax.process_count() > 1 and count != there:
        raise UserError(f"--devices {count}: a job of several processes uses all its {there} devices")
    count = count or there
    if batch_size % count:
        nearest = sorted({max(1, batch_size // count) * count, (batch_size // count + 1) * count})
        raise UserError(
            f"batch_size {batch_size} does not divide over {count} devices: the nearest that does is "
            f"{' or '.join(map(str, nearest))}; or use fewer devices with --devices"
        )
    return count


class Trainer:
    """The training step of one run, compiled for its devices.

    Attributes:
      num_devices: over all processes.
    """

    def __init__(self, plan: Plan, config: Config, num_devices: int):
        local = dataclasses.replace(config, batch_size=config.batch_size // num_devices)
        self.num_devices = num_devices
        self._mapped = num_devices > 1
        dtype = compute_dtype(config.model.dtype)
        # Jitted so that its trace, seconds of work, is made once and used again inside the loop over steps.
        self._step = jax.jit(make_train_step(plan, local, dtype, AXIS if self._mapped else None))
        self._devices = jax.local_devices()[: min(num_devices, jax.local_device_count())]
        self._compiled = None
        self._zeros: dict[str, np.ndarray] = {}

    def put(self, tree):
        """Arrays of `tree` on this process's devices, replicated where there are several."""
        # A copy: on a CPU device_put may share numpy's memory, which donation would then hand to the device.
        tree = jax.tree.map(np.array, tree)
        if not self._mapped:
            return jax.device_put(jax.tree.map(jnp.array, tree), self._devices[0])
        stacked = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(self._devices), *leaf.shape)), tree)
        return jax.pmap(lambda leaf: leaf, devices=self._devices)(stacked)

    def fetch(self, tree):
        """Numpy copies of arrays that `put` placed or a step returned, which later steps cannot overwrite."""
        if self._mapped:
            tree = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, tree)
        fetched = jax.tree.map(lambda leaf: np.array(leaf, copy=True), jax.device_get(tree))
        return jax.tree.map(lambda leaf: leaf[0], fetched) if self._mapped else fetched

    def compile(self, state: TrainState, frames: jax.Array) -> jax.stages.Compiled:
        """Compiles for arguments like these, or fetches the program from the cache on disk; returns it."""
        step = self._step

        def advance(state, totals, frames, count):
            def body(_, carry):
                state, metrics = step(carry[0], frames)
                return state, jax.tree.map(jnp.add, carry[1], metrics)

            state, totals = jax.lax.fori_loop(0, count, body, (state, totals))
            return state, totals, state.step

        if self._mapped:
            in_axes = (0, 0, 0, None)
            mapped = jax.pmap(advance, AXIS, in_axes=in_axes, donate_argnums=(0, 1), devices=self._devices)
            one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state, frames))
            # vmap names the axis for the shapes' sake.
            probe = jax.vmap(step, axis_name=AXIS, axis_size=1, in_axes=None, out_axes=None)
            _, metrics = jax.eval_shape(probe, *one)
        else:
            mapped = jax.jit(advance, donate_argnums=(0, 1))
            _, metrics = jax.eval_shape(step, state, frames)
        self._zeros = {name: np.zeros((), np.float32) for name in metrics}
        self._compiled = mapped.lower(state, self.zero_totals(), frames, np.int32(1)).compile(
            compiler_options=_COMPILER_OPTIONS.get(jax.default_backend())
        )
        return self._compiled

    def zero_totals(self) -> dict[str, jax.Array]:
        """Sums of no metrics yet, as `advance` takes and returns them."""
        return self.put(self._zeros)

    def advance(self, state: TrainState, totals: dict, frames: jax.Array, count: int):
        """(state, totals, ticket) after `count` further steps, whose metrics are added to `totals`.

        Does not wait; the ticket is ready when the steps are done. One program serves every count, so how a
        run is cut into calls does not change its arithmetic. `state` and `totals` are given up to the call.
        """
        return self._compiled(state, totals, frames, np.int32(count))


def fetch_scalars(tree: dict[str, jax.Array]) -> dict[str, float]:
    """Scalars that a step returned, equal on all devices, as floats."""
    return {name: float(np.ravel(value.addressable_shards[0].data)[0]) for name, value in tree.items()}


def agree(count: int, stop: bool) -> tuple[int, bool]:
    """The same decision in every process of a job: the smallest count, and whether any wants to stop."""
    if jax.process_count() == 1:
        return count, stop
    from jax.experimental import multihost_utils

    wishes = multihost_utils.process_allgather(np.array([count, -int(stop)], np.int32))
    smallest, stopped = wishes.reshape(-1, 2).min(axis=0)
    return int(smallest), bool(stopped)
