"""Means of a run's metrics between two entries of its log."""

import math
import time

import jax
import numpy as np

from siv_jax.errors import DivergedError
from siv_jax.workdir.logs import Logs


class MeanMetrics:
    """Means of the metrics since the last entry, written when their values have arrived, and the time in training."""

    def __init__(self, step: int, logs: Logs | None, headline: dict[str, str], seconds: float):
        """`seconds` were trained before; the clock stands until `begin`."""
        self._logs, self._headline, self._step = logs, headline, step
        self._pending: tuple[int, dict] | None = None
        self._seconds, self._begun = seconds, math.inf
        self._time = math.inf  # of the last entry

    @property
    def seconds(self) -> float:
        """Time in training, over all stages and resumptions."""
        return self._seconds + max(0.0, time.monotonic() - self._begun)

    def begin(self) -> None:
        """Lets the clock go on."""
        self._time = self._begun = time.monotonic()

    def pause(self, at_least: float = 0.0) -> None:
        """Stops the clock until `begin`, at `at_least` or later."""
        self._seconds, self._begun = max(self.seconds, at_least), math.inf

    def due(self, step: int, totals: dict) -> None:
        """Notes the sums of the metrics up to `step`; does not wait for them."""
        self._pending = (step, totals)

    def flush(self) -> str:
        """Writes what is due and returns it for the progress bar; empty where nothing is.

        Raises DivergedError: a metric since the last entry is not finite.
        """
        if self._pending is None:
            return ""
        step, totals = self._pending
        self._pending = None
        count = step - self._step
        if not count:  # the time limit ended the run at a step that is logged
            return ""
        means = {name: float(value) / count for name, value in sorted(jax.device_get(totals).items())}
        if not np.isfinite(list(means.values())).all():
            raise DivergedError(f"the loss is not finite between steps {self._step} and {step}")
        now = time.monotonic()
        speed = count / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        if self._logs is not None:
            self._logs.scalars(step, self.seconds, speed, means)
        return " ".join(f"{label} {means[name]:.3f}" for label, name in self._headline.items() if name in means)
