"""How long training will take, said before it starts."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from siv_jax.train import speed
from siv_jax.train.devices import Program
from siv_jax.train.task import Task
from siv_jax.words import counted

_LONG = 3600.0  # seconds from which a CPU's user is told what is quicker
_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def seconds_per_step(task: Task, devices: list[jax.Device], number: int = 0) -> float:
    """Seconds of one step of stage `number`, compiled for this."""
    key, data, previous = _before(task, number)
    if previous is not None:  # untrained, which takes as long
        previous = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), previous)
    stage = task.stages[number]
    program, state = Program(stage, devices), jax.tree.map(np.asarray, stage.init(key, data, previous))
    program.compile(state, data)
    return speed.seconds_per_step(program, state, data, key)


def costs(task: Task, devices: list[jax.Device]) -> np.ndarray | None:
    """What a step of each stage costs beside those of the others: XLA's count of operations, without compiling.

    The first and the last are counted, steps between grow evenly by a factor. None where there are several stages and
    XLA does not count before it has compiled, as on a GPU, where steps of few pixels do not take their share anyway.
    """
    if len(task.stages) == 1:
        return np.ones(1)
    # A stage of one shard stands outside of any mapped axis.
    alone = dataclasses.replace(task, stages=task.family.stages(task.config, task.plan))
    ends = [_operations(alone, number, devices[:1]) for number in (0, len(alone.stages) - 1)]
    return np.geomspace(*ends, len(alone.stages)) if all(ends) else None


def _operations(task: Task, number: int, devices: list[jax.Device]) -> float | None:
    key, data, previous = _before(task, number)
    stage = task.stages[number]
    state = jax.eval_shape(functools.partial(stage.init, key, data), previous)
    return Program(stage, devices).operations(state, data)


def _before(task: Task, number: int) -> tuple[np.ndarray, Any, Any]:
    """Key and data of stage `number`, and the shapes of the last state of the stage before."""
    previous = None
    for i, stage in enumerate(task.stages[: number + 1]):
        key, data = np.array([i, task.config.seed], np.uint32), stage.data(task.source)
        if i < number:
            previous = jax.eval_shape(functools.partial(stage.init, key, data), previous)
    return key, data, previous


def seconds(task: Task, devices: list[jax.Device]) -> float:
    """Of training; of several stages the first and the last are timed, steps between grow evenly by a factor."""
    stages = task.stages
    first = seconds_per_step(task, devices)
    if len(stages) == 1:
        return first * task.num_steps
    last = seconds_per_step(task, devices, len(stages) - 1)
    return sum(stage.num_steps * t for stage, t in zip(stages, np.geomspace(first, last, len(stages)), strict=True))


def seconds_left(seconds_per_step: float, costs: np.ndarray | None, task: Task, done: int = 0) -> float:
    """Of the steps after the first `done`, whose stage takes `seconds_per_step`; without `costs` as if all did."""
    ends = np.cumsum([stage.num_steps for stage in task.stages])
    left, stage = np.diff(np.maximum(ends, done), prepend=done), np.searchsorted(ends, done, side="right")
    shares = np.ones(len(ends)) if costs is None else costs / costs[stage]
    return float(seconds_per_step * (left @ shares))


def line(seconds_per_step: float, costs: np.ndarray | None, task: Task, done: int = 0) -> str:
    """How long training takes at this speed, and what is quicker where that is very long."""
    seconds = seconds_left(seconds_per_step, costs, task, done)
    later = "" if costs is not None else f": those of later ones of its {len(task.stages)} stages may take much longer"
    limit = f", cut off after {task.config.time_limit}" if seconds > task.config.seconds else ""
    quicker = "" if limit or not _is_long(seconds) else "; --config quick takes two minutes"
    steps = f"{task.num_steps - done:,} steps on this machine"
    return f"time      {_about(costs)} {in_words(seconds)} for {steps}{later}{limit}{quicker}"


def line_of_fleet(seconds_per_step: float, costs: np.ndarray | None, task: Task, left: list[int], devices: int) -> str:
    """As `line`, of pictures with so many steps left each, at the speed of the first of them, which `task` trains."""
    a_step = seconds_left(seconds_per_step, costs, task) / task.num_steps
    seconds = sum(min(a_step * steps, task.config.seconds) for steps in left) / min(devices, len(left))
    quick = "; --config quick --config.fleet.enabled True takes two minutes for each"
    quicker = quick if _is_long(a_step * task.num_steps) else ""
    pictures = f"{counted(len(left), 'picture')} on this machine, at the speed of {task.source.name}"
    return f"time      {_about(costs)} {in_words(seconds)} for {pictures}{quicker}"


def _about(costs: np.ndarray | None) -> str:
    return "at least" if costs is None else "about"


def _is_long(seconds: float) -> bool:
    return seconds > _LONG and jax.default_backend() == "cpu"


def in_words(seconds: float) -> str:
    """Two digits and a unit: "41 seconds", "3.2 minutes", "310 hours"."""
    name, unit = next((entry for entry in _UNITS if seconds >= 1.5 * entry[1]), _UNITS[-1])
    number = seconds / unit
    return f"{number:.1f} {name}" if number < 9.95 and unit > 1 else f"{float(f'{number:.2g}'):,.0f} {name}"
