"""The tiny run's training step, compiled once for all tests of a process."""

import dataclasses
import functools

import jax
import numpy as np
import tiny

from siv_jax.config import Config
from siv_jax.data import open_source
from siv_jax.models import registry
from siv_jax.models.siv_gan.step import Training
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.training import TrainState
from siv_jax.train.devices import Program


@dataclasses.dataclass(frozen=True)
class Tiny:
    config: Config
    plan: Plan
    frames: np.ndarray
    stage: Training
    program: Program

    def start(self, seed: int = 0) -> TrainState:
        """A state before its first step."""
        return self.stage.init(root(seed), self.frames)

    def advance(
        self, state: TrainState, *counts: int, seed: int = 0, first: int = 0
    ) -> tuple[TrainState, dict[str, float]]:
        """State and sums of metrics after one call of the compiled loop for each of `counts` steps from `first` on."""
        program = self.program
        on_device, totals, frames = program.put(state), program.zero_totals(), program.put(self.frames)
        for count in counts:
            on_device, totals, _ = program.advance(on_device, totals, frames, root(seed), first, count)
            first += count
        return program.fetch(on_device), {name: float(value) for name, value in program.fetch(totals).items()}


def root(seed: int) -> np.ndarray:
    """Key data of a run's randomness."""
    return np.array([0, seed], np.uint32)


@functools.cache
def compiled(**changes) -> Tiny:
    """The tiny config, with changes as `tiny.config` takes them, on one device."""
    config = tiny.config(**changes)
    source, family = open_source(config.data), registry.get(config.model.name)
    plan = family.plan(config, source)
    (stage,) = family.stages(config, plan)
    frames = stage.data(source)
    program = Program(stage, jax.devices()[:1])
    program.compile(stage.init(root(0), frames), frames)
    return Tiny(config, plan, frames, stage, program)
