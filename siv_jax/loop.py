"""The training loop: when to log, to draw samples, to save and to stop."""

import collections
import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Iterator

import jax
import numpy as np
from tqdm import tqdm

from siv_jax import parallel, pictures
from siv_jax.checkpoint import Checkpoints
from siv_jax.config import Config
from siv_jax.errors import DivergedError
from siv_jax.sampler import Sampler, latents
from siv_jax.state import TrainState
from siv_jax.writer import Writer

# A call of the compiled loop should last about this long: long enough to hide the host's work, short enough
# that a signal is answered soon.
_SECONDS_PER_CALL = 0.5


class StopSignal:
    """Notes the first SIGINT or SIGTERM; a second SIGINT interrupts at once.

    Attributes:
      name: "SIGINT" or "SIGTERM" once one has come, else None.
    """

    def __init__(self):
        self.name: str | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignal"]:
        """Handles both signals inside the block; in threads but the main one, where Python allows none, neither."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame) -> None:
        if self.name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


@dataclasses.dataclass(frozen=True)
class Loop:
    """One run, from a state to its last step or to a signal. `writer` is None in processes that write nothing."""

    config: Config
    trainer: parallel.Trainer
    checkpoints: Checkpoints
    writer: Writer | None
    sampler: Sampler

    def run(self, start: TrainState, frames: np.ndarray, stop: StopSignal) -> TrainState:
        """The state, as numpy arrays and saved, after config.num_steps steps or when `stop` was raised.

        Raises:
          DivergedError: a loss or a weight is not finite; the last good checkpoint stays.
        """
        config, step = self.config, int(start.step)
        state, frames = self.trainer.put(start), self.trainer.put(frames)
        totals = self.trainer.zero_totals()
        z = latents(config.seed, 0, config.num_samples, config.model.noise_dim)
        pace, log = _Pace(), _Log(step, self.writer)
        with self._progress_bar(step) as bar:
            while step < config.num_steps:
                count = min(self._until_event(step), pace.steps_per_call())
                count, stopped = parallel.agree(count, stop.name is not None)
                if stopped:
                    break
                state, totals, ticket = self.trainer.advance(state, totals, frames, count)
                step += count
                # What was due before this call is written while the devices work on it.
                log.flush(bar)
                pace.wait(ticket, count)
                bar.update(count)
                if step % config.log_every == 0 or step == config.num_steps:
                    log.due(step, totals)
                    totals = self.trainer.zero_totals()
                if step % config.sample_every == 0 or step == config.num_steps:
                    log.flush(bar)
                    self._draw_grid(step, state, z)
                if step % config.checkpoint_every == 0 and step < config.num_steps:
                    log.flush(bar)
                    self.checkpoints.save(self.trainer.fetch(state))
            log.flush(bar)
        final = self.trainer.fetch(state)
        self.checkpoints.save(final)
        self.checkpoints.wait()
        return final

    def _until_event(self, step: int) -> int:
        """Steps from `step` to the next one after which something is to be done."""
        config = self.config
        events = [
            every - step % every for every in (config.log_every, config.sample_every, config.checkpoint_every)
        ]
        return min(*events, config.num_steps - step)

    def _draw_grid(self, step: int, state: TrainState, z: np.ndarray) -> None:
        if self.writer is not None:
            params, vectors = self.trainer.fetch((state.ema, state.vectors_g))
            self.writer.grid(step, pictures.to_uint8(self.sampler(params, vectors, z)))

    def _progress_bar(self, step: int) -> tqdm:
        return tqdm(
            total=self.config.num_steps,
            initial=step,
            unit="it",
            dynamic_ncols=True,
            disable=self.writer is None,
            smoothing=0.1,
        )


class _Log:
    """Means of the metrics since the last entry, written when their values have arrived."""

    def __init__(self, step: int, writer: Writer | None):
        self._writer = writer
        self._step, self._time = step, time.monotonic()
        self._begun = self._time
        self._pending: tuple[int, dict] | None = None

    def due(self, step: int, totals: dict) -> None:
        """Notes the sums of the metrics up to `step`; does not wait for them."""
        self._pending = (step, totals)

    def flush(self, bar: tqdm) -> None:
        """Writes what is due.

        Raises:
          DivergedError: a loss since the last entry is not finite.
        """
        if self._pending is None:
            return
        step, totals = self._pending
        self._pending = None
        count = step - self._step
        means = {name: float(value) / count for name, value in sorted(parallel.fetch_scalars(totals).items())}
        if means.pop("finite") < 1.0 or not np.isfinite(list(means.values())).all():
            raise DivergedError(f"the loss is not finite between steps {self._step} and {step}")
        now = time.monotonic()
        speed = count / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        if self._writer is not None:
            self._writer.scalars(step, now - self._begun, speed, means)
            shown = {"G": means["loss_g"], "D": means["loss_d"], "diversity": means["diversity"]}
            bar.set_postfix_str(
                " ".join(f"{name} {value:.3f}" for name, value in shown.items()), refresh=False
            )


class _Pace:
    """Keeps at most two calls in flight and sizes them to last about _SECONDS_PER_CALL."""

    def __init__(self):
        self._in_flight: collections.deque[tuple[jax.Array, int]] = collections.deque()
        self._last_done: float | None = None
        self._steps_per_second = 0.0

    def steps_per_call(self) -> int:
        """At least 1; doubles at most from what the measured speed supports so far."""
        return max(1, int(self._steps_per_second * _SECONDS_PER_CALL))

    def wait(self, ticket: jax.Array, count: int) -> None:
        """Returns when all calls but the newest, whose `ticket` is ready when it is done, have ended."""
        self._in_flight.append((ticket, count))
        while len(self._in_flight) > 1:
            oldest, steps = self._in_flight.popleft()
            jax.block_until_ready(oldest)
            now = time.monotonic()
            if self._last_done is not None:
                self._steps_per_second = steps / max(now - self._last_done, 1e-6)
            self._last_done = now
