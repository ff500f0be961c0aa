"""A trace of a few training steps, for TensorBoard's profile page and for ui.perfetto.dev."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax


@contextlib.contextmanager
def recorded(folder: Path, steps: int) -> Iterator["Profile | None"]:
    """A Profile that is closed at the end of the block; None for 0 steps."""
    if not steps:
        yield None
        return
    profile = Profile(folder, steps)
    try:
        yield profile
    finally:
        profile.close()


class Profile:
    """Records the steps after the first call of the compiled loop, which warms up, as they are asked for.

    A call made while it records has `steps_per_call` steps at most, so that the trace holds no more than asked.
    """

    def __init__(self, folder: Path, steps: int):
        """`steps` are recorded into `folder`; of a job's processes each writes a file of its own there."""
        self._folder, self._left = folder, steps
        self._warm = self._recording = False

    def steps_per_call(self, wanted: int) -> int:
        """`wanted`, or fewer while there is something to record."""
        return min(wanted, self._left) if self._warm and self._left else wanted

    def before_call(self) -> None:
        """Begins to record, if it is time."""
        if self._warm and self._left and not self._recording:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # the host's Python would drown the device's work
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
            self._recording = True

    def after_call(self, ticket: jax.Array, count: int) -> None:
        """Counts `count` more steps, which are done when `ticket` is ready, and ends the record after the last."""
        if self._recording:
            self._left -= count
            if not self._left:
                jax.block_until_ready(ticket)
                self.close()
        elif not self._warm:
            jax.block_until_ready(ticket)
            self._warm = True

    def close(self) -> None:
        """Writes what is recorded so far, if anything is."""
        if self._recording:
            self._recording = False
            jax.profiler.stop_trace()
