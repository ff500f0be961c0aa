"""Workdirs of the tiny run as training leaves them, made without training."""

import dataclasses
from pathlib import Path

import numpy as np
import tiny

from siv_jax.data import open_source
from siv_jax.train import single
from siv_jax.train.task import Task
from siv_jax.workdir import layout, start
from siv_jax.workdir.checkpoint import Checkpoints


def begun(folder: Path) -> Task:
    """Makes the workdir of a run that has not saved a checkpoint yet; returns what it trains."""
    config = tiny.config()
    task = single.make_task(config, open_source(config.data), 1)
    lock = layout.lock(folder)
    start.begin(folder, config, task.plan, task.num_steps, task.source, task.digest)
    lock.release()
    return task


def first_state(task: Task):
    """The state before the first step."""
    stage = task.stages[0]
    return stage.init(np.zeros(2, np.uint32), stage.data(task.source), None)


def save(folder: Path, task: Task, **states) -> None:
    """Saves checkpoints: step_10=state."""
    with Checkpoints(folder / layout.CHECKPOINTS, task.config.keep_checkpoints) as checkpoints:
        for name, state in states.items():
            step = int(name.removeprefix("step_"))
            checkpoints.save(step, 0, step, state, task.stages[0].weights)


def trained(folder: Path) -> Path:
    """A workdir after 40 steps, with weights so large that every latent gives a picture of its own."""
    task = begun(folder)
    state, rng = first_state(task), np.random.default_rng(0)
    ema = rng.normal(size=state.ema.shape).astype(np.float32) * np.float32(0.7)
    save(folder, task, step_40=dataclasses.replace(state, ema=ema))
    return folder
