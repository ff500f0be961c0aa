"""The speed of training, measured before it starts."""

import time
from typing import Any

import jax
import numpy as np

from siv_jax.train.devices import Program

_LONG_ENOUGH = 0.1  # seconds of steps that are measured
_CERTAINLY_LONG = 3.0  # seconds of the first step
_MOST_STEPS = 16


def seconds_per_step(program: Program, state: Any, data: Any, key: np.ndarray, start: int = 0) -> float:
    """Measured with a copy of numpy `state` by calls of 1, 1, 2, 4, ... steps from `start` until one lasts."""
    placed, totals, data = program.put(state), program.zero_totals(), program.put(data)
    warm, count = False, 1
    while True:
        program.prepare(placed, totals, data, key, start, count)
        begun = time.monotonic()
        placed, totals, ticket = program.advance(placed, totals, data, key, start, count)
        jax.block_until_ready(ticket)
        seconds = time.monotonic() - begun
        # The first call also takes what every program takes once.
        if seconds >= (_LONG_ENOUGH if warm else _CERTAINLY_LONG) or count >= _MOST_STEPS:
            return seconds / count
        count, warm = 2 * count if warm else 1, True
