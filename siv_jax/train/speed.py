"""The speed of training, measured before it starts."""

import time
from typing import Any

import jax
import numpy as np

from siv_jax.train.devices import Program

_LONG_ENOUGH = 0.1  # seconds of steps that are measured
_MOST_STEPS = 16


def seconds_per_step(program: Program, state: Any, data: Any, key: np.ndarray) -> float:
    """Measured with a copy of numpy `state` by calls of 1, 2, 4, ... steps, until one lasts long enough."""
    placed, totals, data = program.put(state), program.zero_totals(), program.put(data)
    count = 1
    while True:
        begun = time.monotonic()
        placed, totals, ticket = program.advance(placed, totals, data, key, 0, count)
        jax.block_until_ready(ticket)
        seconds = time.monotonic() - begun
        if seconds >= _LONG_ENOUGH or count >= _MOST_STEPS:
            return seconds / count
        count *= 2
