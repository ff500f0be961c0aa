"""How long training will take, said before it starts."""

import jax
import numpy as np

from siv_jax.train import speed
from siv_jax.train.devices import Program
from siv_jax.train.run import Task

_LONG = 3600.0  # seconds from which a CPU's user is told what is quicker
_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def seconds_per_step(task: Task, devices: list[jax.Device]) -> float:
    """Seconds of one step of the first stage, compiled for this."""
    stage, key = task.stages[0], np.array([0, task.config.seed], np.uint32)
    data, program = stage.data(task.source), Program(stage, devices)
    state = stage.init(key, data, None)
    program.compile(state, data)
    return speed.seconds_per_step(program, state, data, key)


def line(seconds_per_step: float, task: Task, done: int = 0) -> str:
    """How long training takes at this speed, and what is quicker where that is very long."""
    stages, seconds = len(task.stages), seconds_per_step * (task.num_steps - done)
    of_stages = f", as long as all {stages} stages take as long a step as the present one" if stages > 1 else ""
    limit = f", cut off after {task.config.time_limit}" if seconds > task.config.seconds else ""
    quicker = not limit and seconds > _LONG and jax.default_backend() == "cpu"
    return (
        f"time      about {in_words(seconds)} for {task.num_steps - done:,} steps on this machine{of_stages}{limit}"
        + ("; --config quick takes two minutes" if quicker else "")
    )


def in_words(seconds: float) -> str:
    """Two digits and a unit: "41 seconds", "3.2 minutes", "310 hours"."""
    name, unit = next((entry for entry in _UNITS if seconds >= 1.5 * entry[1]), _UNITS[-1])
    number = seconds / unit
    return f"{number:.1f} {name}" if number < 9.95 and unit > 1 else f"{float(f'{number:.2g}'):,.0f} {name}"
