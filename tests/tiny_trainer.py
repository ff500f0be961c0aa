"""The tiny run's training step, compiled once for all tests of a process."""

import dataclasses
import functools

import numpy as np
import tiny

from siv_jax.config import Config
from siv_jax.data import load_frames
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import TrainState, init_state
from siv_jax.train import devices as parallel


@dataclasses.dataclass(frozen=True)
class Tiny:
    config: Config
    plan: Plan
    frames: np.ndarray
    trainer: parallel.Trainer

    def start(self, seed: int = 0) -> TrainState:
        """A state before its first step."""
        return init_state(self.plan, dataclasses.replace(self.config, seed=seed))

    def advance(self, state: TrainState, *counts: int) -> tuple[TrainState, dict[str, float]]:
        """State and sums of metrics after one call of the compiled loop for each of `counts` steps."""
        on_device, totals = self.trainer.put(state), self.trainer.zero_totals()
        frames = self.trainer.put(self.frames)
        for count in counts:
            on_device, totals, _ = self.trainer.advance(on_device, totals, frames, count)
        return self.trainer.fetch(on_device), {k: float(v) for k, v in self.trainer.fetch(totals).items()}


@functools.cache
def compiled() -> Tiny:
    """The tiny config on one device."""
    config = tiny.config()
    frames, plan = load_frames(config.data, config.model)
    trainer = parallel.Trainer(plan, config, 1)
    trainer.compile(trainer.put(init_state(plan, config)), trainer.put(frames.pixels))
    return Tiny(config, plan, frames.pixels, trainer)
