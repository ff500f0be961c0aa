"""Refuses, before anything is compiled, a run that would not fit the devices."""

import dataclasses

from siv_jax.errors import UserError
from siv_jax.train import devices
from siv_jax.train.task import Task


def require(task: Task, num_devices: int) -> None:
    """Checks the family's estimate against the memory there is.

    Raises UserError: it does not fit; names the largest data.max_size that does, and other settings that need less.
    """
    needed, there = _needed(task, task.config, num_devices), devices.available_memory()
    if needed <= there:
        return
    problem = f"training needs about {needed / 1e9:.1f} GB of memory and the device offers {there / 1e9:.1f} GB"
    for smaller in range(min(task.config.data.max_size, max(task.plan.height, task.plan.width)) - 1, 0, -1):
        try:
            data = dataclasses.replace(task.config.data, max_size=smaller)
            fits = _needed(task, dataclasses.replace(task.config, data=data), num_devices) <= there
        except (UserError, ValueError):  # no plan, or no config, has such sides
            continue
        if fits:
            raise UserError(
                f"{problem}: the largest data.max_size that fits is {smaller}; or lower {task.family.lighter}"
            )
    raise UserError(f"{problem}, too little at any data.max_size: lower {task.family.lighter}")


def _needed(task: Task, config, num_devices: int) -> int:
    plan = task.family.plan(config, task.source)
    return task.family.memory(config, plan, task.source.num_frames, num_devices)
