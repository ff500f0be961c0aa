"""How a fleet shares out its models: how many at once on a device, and in what form, chosen or measured."""

import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np

from siv_jax.config import Config
from siv_jax.models.siv_gan import memory
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.train import devices as parallel

# Models at once on a device, at most, where fleet.lanes does not say.
_LANES = 8
# Shorter fleets are over before a second program is compiled and measured.
_STEPS_WORTH_MEASURING = 20_000
_TRIAL_STEPS = 20


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """`lanes` models at once on each of `devices`; `reason` is for people."""

    devices: int
    lanes: int
    mapped: bool
    reason: str

    def trainer(self, plan: Plan, config: Config) -> parallel.Trainer:
        """A trainer for models of this plan; of one at a time the ordinary one."""
        lanes = self.lanes if self.lanes * self.devices > 1 else 0
        return parallel.Trainer(plan, config, self.devices, lanes, self.mapped)

    def __str__(self) -> str:
        if self.lanes == 1:
            return f"one after another on {self.devices} device(s) ({self.reason})"
        form = "as one vmapped step" if self.mapped else "unrolled into one program"
        return f"{self.lanes} at once, {form}, on {self.devices} device(s) ({self.reason})"


def arrange(plan: Plan, config: Config, frames_shape: tuple, models: int, num_devices: int) -> Arrangement:
    """How `models` of one plan are trained on up to `num_devices`.

    Args:
      config: of the fleet.
      frames_shape: of what each trains on, [N, H, W, C].
    """
    devices = min(num_devices, models)
    sequential = Arrangement(devices, 1, False, "as asked")
    lanes = _balanced(-(-models // devices), config.fleet.lanes or _fitting(plan, config, frames_shape))
    mapped = dataclasses.replace(sequential, lanes=lanes, mapped=True)
    if config.fleet.strategy == "sequential":
        return sequential
    if config.fleet.strategy != "auto":
        return dataclasses.replace(mapped, mapped=config.fleet.strategy == "mapped")
    if jax.default_backend() == "cpu":
        return dataclasses.replace(sequential, reason="a CPU gains little from several at once")
    if lanes == 1 or models * config.num_steps < _STEPS_WORTH_MEASURING:
        return dataclasses.replace(sequential, reason="too few steps to choose by measuring")
    return _quicker(sequential, mapped, lambda candidate: _speed(candidate, plan, config, frames_shape))


def steps_per_second(trainer: parallel.Trainer, state, frames: np.ndarray, steps: int) -> float:
    """Steps of all models together per second, after as many to warm up; compiles `trainer`."""
    state, frames = trainer.put(*[state] * trainer.slots), trainer.put(*[frames] * trainer.slots)
    trainer.compile(state, frames)
    state, totals, ticket = trainer.advance(state, trainer.zero_totals(), frames, steps)
    jax.block_until_ready(ticket)
    begun = time.perf_counter()
    *_, ticket = trainer.advance(state, totals, frames, steps)
    jax.block_until_ready(ticket)
    return steps * trainer.slots / (time.perf_counter() - begun)


def _speed(candidate: Arrangement, plan: Plan, config: Config, frames_shape: tuple) -> float:
    frames = np.zeros(frames_shape, np.uint8)
    try:
        return steps_per_second(candidate.trainer(plan, config), init_state(plan, config), frames, _TRIAL_STEPS)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return 0.0
        raise


def _quicker(sequential: Arrangement, several: Arrangement, speed: Callable[[Arrangement], float]) -> Arrangement:
    one, more = speed(sequential), speed(several)
    reason = f"measured: {one:.1f} steps/s one after another, {more:.1f} with {several.lanes} at once"
    return dataclasses.replace(several if more > one else sequential, reason=reason)


def _fitting(plan: Plan, config: Config, frames_shape: tuple) -> int:
    """Models at once for which a device has the memory."""
    return max(1, min(_LANES, memory.available() // memory.estimate(plan, config, frames_shape[0], 1)))


def _balanced(models: int, lanes: int) -> int:
    """At most `lanes`, so that as many rounds leave no lane idle for long."""
    rounds = -(-models // lanes)
    return -(-models // rounds)
