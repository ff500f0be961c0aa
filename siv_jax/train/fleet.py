"""A fleet: a model for each picture of a folder, each an ordinary run in a workdir of its own.

The runs form a queue; each device trains one at a time.

RUN/fleet.json    every setting, resolved
RUN/NAME/         workdir of the picture NAME.jpg, as if it had been trained alone
RUN/summary.json  what became of each picture
RUN/index.html    all of them at a glance
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import jax

from siv_jax import config as config_lib
from siv_jax.cli import progress
from siv_jax.config import Config
from siv_jax.errors import DivergedError, UserError
from siv_jax.report import fleet_page
from siv_jax.train import devices as devices_lib
from siv_jax.train import estimate, final_samples, fleet_summary, loop, single
from siv_jax.train.fleet_members import Member, passed_over, survey
from siv_jax.train.run import Run
from siv_jax.train.stop_signal import StopSignal
from siv_jax.workdir import layout

SETTINGS = "fleet.json"


def train(config: Config, folder: Path, devices: int, dry_run: bool, say: Callable[[str], None]) -> str | None:
    """Trains a model for each picture in the folder config.data.path until its last step.

    Args and result are those of single.train; `folder` holds the members' workdirs.

    Raises:
      UserError: no folder, or none of its pictures, can be used; nothing is changed.
      DivergedError: no model reached its last step, and some diverged.
    """
    if jax.process_count() > 1:
        raise UserError("a fleet trains in one process: start one on each machine, with a part of the pictures")
    used = devices_lib.use(devices)
    if (folder / SETTINGS).exists():
        config_lib.refuse_changes(_saved_settings(folder), config, folder)
    members, others = survey(config, folder), passed_over(config, folder)
    for name, reason in others.items():
        say(f"passed    over {name}: {reason}")
    for member in members:
        if member.outcome == "failed":
            say(f"skipped   {member.path.name}: {member.reason}")
    usable = [member for member in members if member.outcome != "failed"]
    waiting = [member for member in usable if member.outcome == "waiting"]
    if not usable:
        raise UserError(f"none of the {len(members)} pictures in {config.data.path} can be used")
    say(
        f"fleet     {len(members)} pictures in {config.data.path}: {len(waiting)} to train, "
        f"{len(usable) - len(waiting)} finished before, {len(members) - len(usable)} skipped"
    )
    if waiting:
        say(_time(waiting, used))
    if dry_run:
        return None
    lock = layout.lock(folder, SETTINGS)
    try:
        layout.write_text(folder / SETTINGS, config_lib.to_json(config))
        with StopSignal().listening() as stop:
            _Queue(folder, members, others, stop, say).train([[device] for device in used])
    finally:
        lock.release()
    return _conclusion(folder, members, others, stop, say)


def _time(waiting: list[Member], devices: list[jax.Device]) -> str:
    """How long those who wait will take, as the first of them does."""
    task = waiting[0].task
    left = [max(0, member.task.num_steps - layout.completed_steps(member.folder)) for member in waiting]
    speed = estimate.seconds_per_step(task, devices[:1])
    return estimate.line_of_fleet(speed, estimate.costs(task, devices), task, left, len(devices))


def _saved_settings(folder: Path) -> Config:
    try:
        return config_lib.load(folder / SETTINGS)
    except UserError as error:
        raise UserError(
            f"{folder} holds a fleet of siv_jax 0.1 or a damaged {SETTINGS} ({error}): use another --workdir"
        ) from None


class _Queue:
    """The members that wait, those in training, and what is told of them."""

    def __init__(
        self,
        folder: Path,
        members: list[Member],
        others: dict[str, str],
        stop: StopSignal,
        say: Callable[[str], None],
    ):
        self._folder, self._members, self._others, self._stop, self._say = folder, members, others, stop, say
        waiting = [member for member in members if member.outcome == "waiting"]
        # Members of one shape follow each other.
        self._waiting = iter(sorted(waiting, key=lambda member: str(member.task.plan)))
        self._programs: dict = {}
        self._open: dict[Run, tuple[Member, contextlib.ExitStack]] = {}
        steps = [member.task.num_steps for member in members if member.task]
        begun = [layout.completed_steps(member.folder) for member in members if member.task]
        self._bar = progress.display(sum(steps), sum(map(min, begun, steps)), disable=False)

    def train(self, groups: list[list[jax.Device]]) -> None:
        """Trains all that wait, until the signal to stop."""
        try:
            with self._bar:
                for run in loop.train(groups, self._open_next, self._stop, self._bar):
                    self._conclude(run)
        finally:
            for _, closing in self._open.values():
                closing.close()

    def _open_next(self, devices: list[jax.Device]) -> Run | None:
        while self._stop.name is None and (member := next(self._waiting, None)) is not None:
            with contextlib.ExitStack() as closing:
                try:
                    opened = single.open_run(member.folder, member.task, devices, self._programs, name=member.path.name)
                    run = closing.enter_context(opened)
                except UserError as error:
                    self._note(member, "failed", str(error))
                    continue
                for note in run.notes:
                    self._say(f"note      {member.path.name}: {note}")
                self._open[run] = member, closing.pop_all()
            if not run.ended:
                return run
            self._conclude(run)
        return None

    def _conclude(self, run: Run) -> None:
        """What a run that has ended leaves behind."""
        member, closing = self._open.pop(run)
        with closing:
            if run.error:
                self._note(member, "diverged", single.what_is_left(run, member.folder))
            elif not run.ended:
                self._note(member, "stopped", f"by {self._stop.name} after step {run.step}; saved")
            else:
                final_samples.write(run, member.folder, self._stop, say=str)
                if self._stop.name:
                    self._note(member, "stopped", f"by {self._stop.name} while rendering; the model is saved")
                else:
                    self._note(member, "done", "")
        fleet_summary.write(self._folder, self._members, self._others)
        usable = sum(member.outcome != "failed" for member in self._members)
        fleet_page.write(self._folder, planned=usable, notes=_notes(self._members))

    def _note(self, member: Member, outcome: str, reason: str) -> None:
        member.outcome, member.reason = outcome, reason
        with self._bar.external_write_mode():
            self._say(f"{outcome:9} {member.path.name}: {reason or member.folder}")


def _notes(members: list[Member]) -> dict[str, str]:
    """Why members are not trained on, or have stopped, by folder or, without one, by picture."""
    return {
        member.folder.name if member.folder.exists() else member.path.name: member.reason
        for member in members
        if member.reason
    }


def _conclusion(
    folder: Path, members: list[Member], others: dict[str, str], stop: StopSignal, say: Callable[[str], None]
) -> str | None:
    found = fleet_summary.write(folder, members, others)
    index = fleet_page.write(folder, ended=True, notes=_notes(members))
    for line in ["", *fleet_summary.table(found), "", f"{folder / fleet_summary.SUMMARY}", f"{index}"]:
        say(line)
    count = {outcome: sum(member.outcome == outcome for member in members) for outcome in ("done", "diverged")}
    if stop.name is not None and any(member.outcome in ("waiting", "stopped") for member in members):
        say(f"stopped by {stop.name}; all is saved. The same command goes on from here")
        return stop.name
    if not count["done"] and count["diverged"]:
        raise DivergedError(f"none of {len(members)} models reached its last step, {count['diverged']} diverged")
    if not count["done"]:
        raise UserError(f"none of {len(members)} pictures could be trained on, as said above")
    return None
