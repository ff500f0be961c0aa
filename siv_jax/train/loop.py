"""The training loop: how many steps at a time, and when to stop."""

import collections
import contextlib
import functools
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator

import jax
from tqdm import tqdm

from siv_jax.errors import DivergedError
from siv_jax.train import devices as parallel
from siv_jax.train import processes as hosts
from siv_jax.train.profile import Profile
from siv_jax.train.run import Run

# A call of the compiled loop should last about this long: long enough to hide the host's work and the memory that
# each call takes anew (a tenth of the time of single steps at 128x128 on a CPU), short enough that a signal is
# answered soon.
_SECONDS_PER_CALL = 2.0


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


class Loop:
    """Trains runs of one shape, as many at once as the trainer has slots; as a rule there is one of each."""

    def __init__(self, trainer: parallel.Trainer, bar: tqdm, profile: Profile | None = None):
        """`trainer` is compiled; `bar` counts the steps of all runs; `profile` records some of them."""
        self._trainer, self._bar, self._profile = trainer, bar, profile

    def run(self, waiting: Iterator[Run], stop: StopSignal) -> Iterator[Run]:
        """Gives each run back as it ends: saved after its last step or when `stop` was raised, or with its error.

        A slot that gets free takes the next of `waiting`, none of which is finished already.
        """
        trainer, bar, pace = self._trainer, self._bar, _Pace()
        runs = dict(enumerate(itertools.islice(waiting, trainer.slots)))
        if not runs:
            return
        # Slots for which there is no run repeat one.
        filled = [runs.get(slot, runs[0]) for slot in range(trainer.slots)]
        state, frames = trainer.put(*[run.state for run in filled]), trainer.put(*[run.frames for run in filled])
        totals = trainer.zero_totals()
        for run in runs.values():
            run.begin()
        while runs:
            wanted = min(self._steps_per_call(pace), *(run.until_event() for run in runs.values()))
            count, stopped = hosts.agree(wanted, stop.name)
            if stopped is not None:
                stop.name = stopped
                break
            state, totals, ticket = self._advanced(state, totals, frames, count)
            # What was due before this call is written while the devices work on it.
            for run in runs.values():
                _attempt(run, run.flush, bar)
            pace.wait(ticket, count)
            bar.update(count * len(runs))
            totals = self._notice(runs, count, state, totals)
            ended = {slot: runs.pop(slot) for slot, run in list(runs.items()) if run.finished or run.error}
            for slot, run in ended.items():
                yield self._finished(run, state, slot)
            taken = dict(zip(ended, waiting, strict=False))
            if taken:
                runs |= taken
                state = self._replaced(state, {slot: run.state for slot, run in taken.items()})
                frames = self._replaced(frames, {slot: run.frames for slot, run in taken.items()})
                totals = trainer.restart_totals(totals, set(taken))
        for slot, run in runs.items():
            yield self._finished(run, state, slot)

    def _steps_per_call(self, pace: "_Pace") -> int:
        wanted = pace.steps_per_call()
        return self._profile.steps_per_call(wanted) if self._profile else wanted

    def _advanced(self, state, totals, frames, count: int):
        if self._profile is None:
            return self._trainer.advance(state, totals, frames, count)
        self._profile.before_call()
        state, totals, ticket = self._trainer.advance(state, totals, frames, count)
        self._profile.after_call(ticket, count)
        return state, totals, ticket

    def _notice(self, runs: dict[int, Run], count: int, state, totals):
        """Lets the runs do what is due after `count` more steps; returns the sums of their metrics from here on."""
        restart = set()
        for slot, run in runs.items():
            snapshot = functools.partial(self._trainer.snapshot, slot=slot)
            if not run.error and run.advanced(count, state, totals, snapshot):
                restart.add(slot)
        return self._trainer.restart_totals(totals, restart) if restart else totals

    def _finished(self, run: Run, state, slot: int) -> Run:
        if not run.error:
            _attempt(run, run.finish, self._trainer.fetch(state, slot), self._bar)
        return run

    def _replaced(self, tree, new: dict[int, object]):
        """`tree` with other contents in some slots."""
        trainer = self._trainer
        return trainer.put(*[new[i] if i in new else trainer.fetch(tree, i) for i in range(trainer.slots)])


def _attempt(run: Run, action: Callable, *arguments):
    """What the action returns; where it finds that the run diverged, that is noted and the run has ended."""
    try:
        return action(*arguments)
    except DivergedError as error:
        run.error = error
        run.wait()
        return None


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
