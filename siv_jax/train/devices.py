"""The only file that knows devices: where a step runs, on how many of them, and how often per call.

One device runs a jitted loop over steps; several run the same loop under pmap. Either they train one model, with
replicated state, a share of the batch and other random draws on each, and gradients averaged over all of them; or
each trains models of its own.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.step import make_train_step, metric_names

AXIS = "devices"


def compiler_options() -> dict[str, int | bool]:
    """What the step is compiled with on the default backend.

    On a CPU both options together halve the compile time and quarter its memory and cost the steps nothing: the
    step is hundreds of small operations, and its time goes into convolutions that a library computes.
    """
    if jax.default_backend() != "cpu":
        return {}
    options: dict[str, int | bool] = {"xla_backend_optimization_level": 1}
    if jax.__version_info__ < (0, 11):  # later releases have no such option and refuse it
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def compute_dtype(name: str) -> jnp.dtype:
    """model.dtype as a dtype: "auto" is bfloat16 on accelerators, float32 on a CPU."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


def use_devices(count: int) -> int:
    """How many devices are used: `count`, or all there are for 0.

    Raises:
      UserError: more than there are, or part of a multi-process job's.
    """
    there = jax.device_count()
    if count > there:
        raise UserError(f"--devices {count} asks for more than the {there} {jax.default_backend()} devices there are")
    if count and jax.process_count() > 1 and count != there:
        raise UserError(f"--devices {count}: a job of several processes uses all its {there} devices")
    return count or there


def require_equal_shares(config: Config, num_devices: int) -> None:
    """Checks that the batch of one model can be shared out over its devices.

    Raises:
      UserError: it does not divide over the devices, or leaves each a single sample where pairs are compared.
    """
    batch, fewest = config.batch_size, 1 if config.loss.diversity in ("none", "zcr") else 2
    if batch % num_devices == 0 and batch // num_devices >= fewest:
        return
    fitting = {max(fewest, batch // num_devices) * num_devices, max(fewest, batch // num_devices + 1) * num_devices}
    nearest = " or ".join(map(str, sorted(fitting)))
    if batch % num_devices:
        problem = f"does not divide over {num_devices} devices: the nearest that does is {nearest}"
    else:
        problem = (
            f"leaves 1 sample to each of {num_devices} devices, and loss.diversity {config.loss.diversity} compares "
            f"pairs: take {fewest * num_devices}"
        )
    raise UserError(f"batch_size {batch} {problem}; or use fewer devices with --devices")


class Trainer:
    """The training step, compiled: for one model on all its devices, or for a fleet of models.

    In a fleet each device trains `lanes` models on its own, each with the whole batch and as if alone.

    Attributes:
      slots: how many models are trained at once; `put` and `fetch` count them device by device.
    """

    def __init__(self, plan: Plan, config: Config, num_devices: int, lanes: int = 0, mapped: bool = False):
        """Prepares the step of `config`.

        Args:
          plan: of the model, or of each of them.
          config: of the run; its batch is shared out over the devices, but in a fleet each model has one of its own.
          num_devices: over all processes.
          lanes: models on each device; 0: one model on all devices together.
          mapped: the models of a device take a step as one vmapped computation, not one after another.
        """
        share = 1 if lanes else num_devices
        self.slots = max(1, lanes * num_devices)
        self._lanes, self._vmapped = lanes, mapped and lanes > 0
        self._spread = num_devices > 1
        local = dataclasses.replace(config, batch_size=config.batch_size // share)
        axis = AXIS if share > 1 else None
        dtype = compute_dtype(config.model.dtype)
        self._step = make_train_step(plan, local, dtype, axis)
        self._devices = jax.devices()[:num_devices]
        self._sharding = NamedSharding(Mesh(np.array(self._devices), (AXIS,)), PartitionSpec(AXIS))
        self._compiled = None
        self._zeros = {name: np.zeros((), np.float32) for name in metric_names(config)}

    def put(self, *trees):
        """Numpy arrays on this process's devices, where `advance` wants them: a tree for each slot."""
        if not self._lanes:
            local = [device for device in self._devices if device.process_index == jax.process_index()]
            on_devices = trees * len(local)
        else:
            starts = range(0, self.slots, self._lanes)
            on_devices = [self._join(trees[start : start + self._lanes]) for start in starts]
        if self._spread:
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *on_devices)
            place = functools.partial(jax.make_array_from_process_local_data, self._sharding)
            return jax.tree.map(place, stacked)
        # A copy: on a CPU device_put may share numpy's memory, which donation would then hand to the device.
        copy = jax.tree.map(np.array, on_devices[0])
        return jax.device_put(jax.tree.map(jnp.array, copy), self._devices[0])

    def snapshot(self, tree, slot: int = 0):
        """One slot's part of arrays that `put` placed or a step returned, copied on its device.

        Does not wait, and later steps, which take over the memory of the arrays, cannot change it.
        """
        device, lane = divmod(slot, max(1, self._lanes))
        if self._lanes and not self._vmapped:
            tree = tree[lane]
        if self._spread:
            tree = jax.tree.map(lambda leaf: leaf.addressable_data(device), tree)
        return _copied(tree, (0,) * self._spread + (lane,) * self._vmapped)

    def fetch(self, tree, slot: int = 0):
        """As `snapshot`, as numpy arrays."""
        return jax.device_get(self.snapshot(tree, slot))

    def compile(self, state, frames) -> jax.stages.Compiled:
        """Compiles for arguments as `put` returned them, or fetches the program from the cache on disk; returns it."""
        step = self._step_of_all()

        def advance(state, totals, frames, count):
            def body(_, carry):
                state, metrics = step(carry[0], frames)
                return state, jax.tree.map(jnp.add, carry[1], metrics)

            state, totals = jax.lax.fori_loop(0, count, body, (state, totals))
            return state, totals, jax.tree.leaves(state)[0]

        donated = {"donate_argnums": (0, 1)}
        if self._spread:
            advance = jax.pmap(advance, AXIS, in_axes=(0, 0, 0, None), devices=self._devices, **donated)
        else:
            advance = jax.jit(advance, **donated)
        self._compiled = advance.lower(state, self.zero_totals(), frames, np.int32(1)).compile(
            compiler_options=compiler_options()
        )
        return self._compiled

    def zero_totals(self) -> dict[str, jax.Array]:
        """Sums of no metrics yet, as `advance` takes and returns them."""
        return self.put(*[self._zeros] * self.slots)

    def restart_totals(self, totals, slots: set[int]):
        """`totals` with nothing yet in these slots; the arrays in `totals` stay as they are."""
        if len(slots) == self.slots:
            return self.zero_totals()
        return self.put(*[self._zeros if i in slots else self.fetch(totals, i) for i in range(self.slots)])

    def advance(self, state, totals, frames, count: int):
        """(state, totals, ticket) after `count` further steps, whose metrics are added to `totals`.

        Does not wait; the ticket is ready when the steps are done. One program serves every count, so how a
        run is cut into calls does not change its arithmetic. `state` and `totals` are given up to the call.
        """
        return self._compiled(state, totals, frames, np.int32(count))

    def _join(self, trees: tuple):
        """What one device holds: its models' trees side by side, or stacked for a vmapped step."""
        return jax.tree.map(lambda *leaves: np.stack(leaves), *trees) if self._vmapped else tuple(trees)

    def _step_of_all(self):
        if not self._lanes:
            return self._step
        if self._vmapped:
            return jax.vmap(self._step)
        step = jax.jit(self._step)  # so that all lanes share one trace

        def one_after_another(states, frames):
            return tuple(zip(*map(step, states, frames), strict=True))

        return one_after_another


@functools.partial(jax.jit, static_argnums=1)
def _copied(tree, index: tuple[int, ...]):
    """New arrays with the entries at `index` of all."""
    return jax.tree.map(lambda leaf: jnp.copy(leaf[index]), tree)
