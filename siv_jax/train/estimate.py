"""How long training will take, said before it starts."""

import functools

import jax
import numpy as np

from siv_jax.train import speed
from siv_jax.train.devices import Program
from siv_jax.train.task import Task

_LONG = 3600.0  # seconds from which a CPU's user is told what is quicker
_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def seconds_per_step(task: Task, devices: list[jax.Device], number: int = 0) -> float:
    """Seconds of one step of stage `number`, compiled for this."""
    previous = None
    for i, stage in enumerate(task.stages[: number + 1]):
        key = np.array([i, task.config.seed], np.uint32)
        data = stage.data(task.source)
        if i < number:
            previous = jax.eval_shape(functools.partial(stage.init, key, data), previous)
    if previous is not None:  # untrained, which takes as long
        previous = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), previous)
    program, state = Program(stage, devices), jax.tree.map(np.asarray, stage.init(key, data, previous))
    program.compile(state, data)
    return speed.seconds_per_step(program, state, data, key)


def seconds(task: Task, devices: list[jax.Device]) -> float:
    """Of training; of several stages the first and the last are timed, steps between grow evenly by a factor."""
    stages = task.stages
    first = seconds_per_step(task, devices)
    if len(stages) == 1:
        return first * task.num_steps
    last = seconds_per_step(task, devices, len(stages) - 1)
    return sum(stage.num_steps * t for stage, t in zip(stages, np.geomspace(first, last, len(stages)), strict=True))


def line(seconds_per_step: float, task: Task, done: int = 0) -> str:
    """How long training takes at this speed, and what is quicker where that is very long."""
    stages, seconds = len(task.stages), seconds_per_step * (task.num_steps - done)
    of_stages = f", if steps of all {stages} stages take as long as this one's" if stages > 1 else ""
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
