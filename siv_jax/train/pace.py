"""How many steps one call of the compiled loop makes."""

import collections
import time

import jax

# A call of the compiled loop should last about this long: long enough to hide the host's work and the memory that
# each call takes anew (a tenth of the time of single steps at 128x128 on a CPU), short enough that a signal is
# answered soon.
_SECONDS_PER_CALL = 2.0


class Pace:
    """Keeps at most two calls in flight and sizes them to last about _SECONDS_PER_CALL."""

    def __init__(self):
        self._in_flight: collections.deque[tuple[jax.Array, int]] = collections.deque()
        self._last_done: float | None = None
        self._steps_per_second = 0.0

    @property
    def steps_in_flight(self) -> int:
        """Steps of calls that have not ended, as far as `wait` knows."""
        return sum(count for _, count in self._in_flight)

    def steps_per_call(self) -> int:
        """As many steps as the measured speed makes in that time; 1 until it is measured."""
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
