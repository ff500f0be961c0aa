"""One run from its config to its samples: reads, plans, resumes or begins, trains, and draws."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from siv_jax import config as config_lib
from siv_jax.cli import command_text, progress
from siv_jax.config import Config
from siv_jax.data import Source, open_source
from siv_jax.errors import DivergedError, UserError
from siv_jax.models import registry
from siv_jax.report.run_page import PAGE, RunPage
from siv_jax.train import description, estimate, final_samples, loop, memory, processes
from siv_jax.train import devices as devices_lib
from siv_jax.train.output import Output
from siv_jax.train.profile import recorded
from siv_jax.train.run import Run
from siv_jax.train.stop_signal import StopSignal
from siv_jax.train.task import Task
from siv_jax.workdir import kept_input, layout, start
from siv_jax.workdir.checkpoint import Checkpoints
from siv_jax.workdir.logs import Logs


def default_folder(config: Config) -> Path:
    """Workdir of a run that was given none: runs/NAME, after the input.

    Raises:
      UserError: there is no input.
    """
    if not config.data.path:
        raise UserError("no input given: add --config.data.path with a picture, a clip or a folder of frames")
    return layout.default_workdir(config.data.path)


def train(
    config: Config,
    folder: Path,
    devices: int,
    dry_run: bool,
    say: Callable[[str], None],
    watch: Callable[[int], None] | None = None,
) -> str | None:
    """Trains, or goes on training, in `folder` until the last step, and writes samples.

    Args:
      config: of the run.
      folder: its workdir.
      devices: how many to use; 0: all.
      dry_run: says what would be trained, touches nothing and returns.
      say: takes each line that the user is told.
      watch: called with the number of completed steps after each sample grid is written.

    Returns:
      None, or the name of the signal that stopped the run after its state was saved.

    Raises:
      UserError: input, settings or a workdir that cannot be used; nothing is changed.
      DivergedError: a loss or a weight is not finite; the last good checkpoint is kept.
    """
    if config.fleet.enabled:
        raise UserError("a fleet is trained by python -m siv_jax.main; for one model set fleet.enabled to False")
    used = devices_lib.use(devices)
    if dry_run:
        say(config_lib.to_json(config).rstrip())
    with processes.together():
        task = make_task(config, open_input(config, folder), len(used))
        for line in description.of(task, len(used)):
            say(line)
        memory.require(task, len(used))
    without_path = dataclasses.replace(config, data=dataclasses.replace(config.data, path=""))
    processes.require_same(config_lib.to_json(without_path) + task.digest, "settings or pictures")
    if dry_run:
        say(estimate.line(estimate.seconds_per_step(task, used), estimate.costs(task, used), task))
        return None
    with (
        StopSignal().listening() as stop,
        recorded(folder / layout.PROFILE, config.profile) as profile,
        open_run(folder, task, used, {}, watch, profile) as run,
    ):
        for note in run.notes:
            say(f"note      {note}")
        if run.step:
            say(f"resuming  {folder} after step {run.step}")
        if not run.ended:
            _advance(run, used, folder, stop, say)
        if run.error:
            raise DivergedError(what_is_left(run, folder))
        if not run.ended:
            page = f", to be seen in {folder / PAGE}" if (folder / PAGE).exists() else ""
            say(f"stopped by {stop.name} after step {run.step}; saved{page}. The same command goes on from here")
            return stop.name
        if processes.is_first():
            _conclude(run, folder, stop, say)
            if stop.name:
                return stop.name
    if config.profile and (folder / layout.PROFILE).exists():
        traces = folder / layout.PROFILE
        say(f"profile   {traces}: tensorboard --logdir {traces}, or its perfetto_trace.json.gz at ui.perfetto.dev")
    return None


def _conclude(run: Run, folder: Path, stop: StopSignal, say: Callable[[str], None]) -> None:
    """Draws the samples of a run that has ended, and says what to do with it."""
    limit = f", the time limit of {run.task.config.time_limit}" if run.num_steps < run.task.num_steps else ""
    say(f"done      {run.num_steps} steps{limit}")
    final_samples.write(run, folder, stop, say)
    if not stop.name:
        say(f"more      {command_text.shell('siv_jax.sample', '--workdir', folder, '--num', 100, '--out', 'DIR')}")
    say(f"look at   {folder / PAGE}")


def open_input(config: Config, folder: Path) -> Source:
    """The source at config.data.path; of a run that has begun, the workdir's copy where the original is gone.

    Raises:
      UserError: neither can be read.
    """
    try:
        return open_source(config.data)
    except UserError as error:
        if not (folder / layout.CONFIG).exists():
            raise
        source = kept_input.load(folder)
        source.notes.add(source.name, f"the original cannot be read ({error}): the copy in {folder} is used")
        return source


def make_task(config: Config, source: Source, shards: int) -> Task:
    """The task of `config` on `source`.

    Raises:
      UserError: the family takes no masks, or needs them; no plan fits the source, or the batch cannot be shared out.
    """
    family = registry.get(config.model.name)
    if "mask" in family.inputs and source.masks is None:
        raise UserError(
            f"{family.title} learns from a picture and its mask: add --config.data.mask with a mask or a folder of them"
        )
    if source.masks is not None and "mask" not in family.inputs:
        raise UserError(f"{family.title} learns from pictures alone: leave the mask out, or take the config masks")
    try:
        plan = family.plan(config, source)
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from None
    return Task(config, family, plan, source, source.digest(), family.stages(config, plan, shards))


@contextlib.contextmanager
def open_run(
    folder: Path,
    task: Task,
    devices: list[jax.Device],
    programs: dict,
    watch: Callable[[int], None] | None = None,
    profile=None,
    name: str = "",
) -> Iterator[Run]:
    """Claims `folder`, and takes up the run in it where it stands; new, if there is none.

    Of a job's processes the first alone uses the folder; the others get its state and data.

    Raises:
      UserError: a folder that cannot be used, or a damaged checkpoint.
    """
    output, notes = None, []
    with contextlib.ExitStack() as stack:
        with processes.together():
            if processes.is_first():
                stack.callback(layout.lock(folder).release)
                record = start.begin(folder, task.config, task.plan, task.num_steps, task.source, task.digest)
                # From the workdir's copy, so that a resumed run sees what the first one saw.
                kept = kept_input.load(folder)
                if task.digest != record.digest and task.digest != kept.digest():
                    notes = [f"{task.source.name} is decoded a little differently now: the copy in {folder} is used"]
                task = dataclasses.replace(task, plan=record.plan, source=kept)
                output = _output(folder, task, stack, watch)
        run = Run(task, devices, output, programs, profile, name)
        run.notes += notes
        if run.time_is_up:
            run.end_for_time()
        # A run that cannot be taken up leaves the folder as it is.
        with processes.together():
            if output is not None:
                stack.enter_context(output.logs.opened(run.step))
                output.report(run.step)
                stack.callback(lambda: output.report(run.step, ended=True))
        yield run


def what_is_left(run: Run, folder: Path) -> str:
    """Why a run diverged, which checkpoint is left of it, and what to do."""
    last = run.last_checkpoint()
    kept = f"the checkpoint after step {last} in {folder} is good" if last is not None else "no checkpoint was made"
    return f"training diverged: {run.error}; {kept}; begin again with lower learning rates in another --workdir"


def _output(folder: Path, task: Task, stack: contextlib.ExitStack, watch: Callable[[int], None] | None) -> Output:
    checkpoints = Checkpoints(folder / layout.CHECKPOINTS, task.config.keep_checkpoints)
    stack.enter_context(checkpoints)
    resumed_at: int | None = None  # known once a checkpoint was found whole
    page = functools.cache(lambda: RunPage(folder))

    def report(step: int, ended: bool = False) -> None:
        nonlocal resumed_at
        resumed_at = step if resumed_at is None else resumed_at
        page().write(step, ended)
        if watch is not None and not ended and step > resumed_at:
            watch(step)

    return Output(folder, checkpoints, Logs(folder), report)


def _advance(run: Run, devices: list[jax.Device], folder: Path, stop: StopSignal, say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    say("compiling (a minute or two on first use of a shape, seconds after that)")
    run.begin()
    say(f"training  in {folder}, compiled in {time.monotonic() - begun:.0f} s; Ctrl-C saves and stops")
    if (folder / PAGE).exists():
        say(f"watch     {folder / PAGE}")
    if jax.process_count() == 1:  # the processes of a job would measure different speeds
        say(estimate.line(run.seconds_per_step(), estimate.costs(run.task, devices), run.task, run.step))
    waiting = iter([run])
    with progress.display(run.num_steps, run.step, disable=not processes.is_first()) as bar:
        for _ in loop.train([devices], lambda _: next(waiting, None), stop, bar):
            pass
