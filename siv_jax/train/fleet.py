"""A fleet: a model for each picture of a folder, trained in one process, each in an ordinary workdir of its own.

RUN/fleet.json    every setting, resolved
RUN/NAME/         workdir of the picture NAME.jpg, as if it had been trained alone
RUN/summary.json  what became of each picture
RUN/index.html    all of them at a glance
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from siv_jax import config as config_lib
from siv_jax.config import Config, FleetConfig
from siv_jax.data import Frames, load_frames
from siv_jax.data.files import FRAME_SUFFIXES
from siv_jax.data.folders import natural_key
from siv_jax.errors import DivergedError, UserError
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.report import fleet_page
from siv_jax.report.run_page import PAGE
from siv_jax.sampling import sample_files as sampling
from siv_jax.sampling.trained_model import Sampler
from siv_jax.train import devices as parallel
from siv_jax.train import fleet_summary
from siv_jax.train import single as training
from siv_jax.train.fleet_strategy import arrange
from siv_jax.train.loop import Loop, StopSignal
from siv_jax.train.run import Run
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.checkpoint import completed_steps

SETTINGS = "fleet.json"


@dataclasses.dataclass
class Member:
    """One picture and what becomes of it."""

    path: Path
    folder: Path  # its workdir
    config: Config  # as if it were trained alone
    shape: tuple[Plan, tuple, np.dtype] | None = None  # of its model and its frames; one program serves each
    outcome: str = "waiting"  # waiting | done | stopped | diverged | failed
    reason: str = ""  # of an outcome other than done


def train(config: Config, folder: Path, devices: int, dry_run: bool, say: Callable[[str], None]) -> str | None:
    """Trains a model for each picture in the folder config.data.path until config.num_steps.

    Args and result are those of training.train; `folder` holds the members' workdirs.

    Raises:
      UserError: no folder, or none of its pictures, can be used; nothing is changed.
      DivergedError: no model reached its last step, and some diverged.
    """
    if jax.process_count() > 1:
        raise UserError("a fleet trains in one process: start one on each machine, with a part of the pictures")
    num_devices = parallel.use_devices(devices)
    if (folder / SETTINGS).exists():
        config_lib.refuse_changes(config_lib.load(folder / SETTINGS), config, folder)
    members = survey(config, folder)
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
    if dry_run:
        return None
    lock = workdir.lock_folder(folder, SETTINGS)
    try:
        workdir.save_config(folder, config, SETTINGS)
        with StopSignal().listening() as stop:
            Training(config, folder, members, stop, say).run(num_devices)
    finally:
        lock.release()
    return _conclusion(folder, members, stop, say)


def survey(config: Config, folder: Path) -> list[Member]:
    """A member for each picture in config.data.path, by name: waiting, done before, or failed.

    Raises:
      UserError: no folder there, or no picture in it.
    """
    source = Path(os.path.expanduser(config.data.path))
    if not source.is_dir():
        raise UserError(f"{config.data.path or 'data.path'} is not a folder: a fleet needs a folder of pictures")
    names = [path.name for path in source.iterdir() if path.suffix.lower() in FRAME_SUFFIXES and path.is_file()]
    names = sorted((name for name in names if not name.startswith(".")), key=natural_key)
    if not names:
        raise UserError(f"{config.data.path} holds no picture: a fleet needs a folder of pictures")
    folders = name_folders(names, folder)
    members = []
    for name in names:
        data = dataclasses.replace(config.data, path=str(source / name))
        alone = dataclasses.replace(config, data=data, fleet=FleetConfig())
        members.append(Member(source / name, folder / folders[name], alone))
        _look_at(members[-1])
    return members


def name_folders(names: list[str], folder: Path) -> dict[str, str]:
    """A folder's name for each picture: its own, without ending where that is free, and the one it has already."""
    taken = {fleet_summary.SUMMARY: "", SETTINGS: "", PAGE: ""}
    for path in sorted(folder.glob(f"*/{workdir.CONFIG}")):
        with contextlib.suppress(UserError):
            taken[path.parent.name.lower()] = Path(config_lib.load(path).data.path).name
    folders = {}
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix[1:]
        numbered = (f"{stem}_{suffix}_{i}" for i in range(2, len(names) + 2))
        candidates = [stem, f"{stem}_{suffix}", *numbered]
        own = [candidate for candidate in candidates if taken.get(candidate.lower()) == name]
        free = [candidate for candidate in candidates if candidate.lower() not in taken]
        folders[name] = [*own, *free][0]
        taken[folders[name].lower()] = name
    return folders


class Training:
    """The members of a fleet in training."""

    def __init__(
        self, config: Config, folder: Path, members: list[Member], stop: StopSignal, say: Callable[[str], None]
    ):
        self._config, self._folder, self._members, self._stop, self._say = config, folder, members, stop, say
        readable = [member for member in members if member.outcome != "failed"]
        begun = [completed_steps(member.folder / workdir.CHECKPOINTS) for member in readable]
        self._bar = training.progress_bar(
            config.num_steps * len(readable), sum(min(steps, config.num_steps) for steps in begun)
        )
        self._open: dict[Run, tuple[Member, Frames, contextlib.ExitStack]] = {}

    def run(self, num_devices: int) -> None:
        """Trains all that wait, one shape after another, until `stop` is raised."""
        groups: dict[tuple, list[Member]] = {}
        for member in self._members:
            if member.outcome == "waiting":
                groups.setdefault(member.shape, []).append(member)
        with self._bar:
            for members in groups.values():
                if self._stop.name is None:
                    self._train_alike(members, num_devices)

    def _train_alike(self, members: list[Member], num_devices: int) -> None:
        plan, frames_shape, dtype = members[0].shape
        config = members[0].config
        asked = dataclasses.replace(config, fleet=self._config.fleet)
        arrangement = arrange(plan, asked, frames_shape, len(members), num_devices)
        self._tell(f"group     {plan.width}x{plan.height} (width x height): {len(members)} pictures, {arrangement}")
        trainer, sampler = arrangement.trainer(plan, config), Sampler(plan, config.model)
        state, frames = init_state(plan, config), np.zeros(frames_shape, dtype)
        trainer.compile(trainer.put(*[state] * trainer.slots), trainer.put(*[frames] * trainer.slots))
        self._bar.unpause()  # its estimate leaves out compilation
        try:
            for run in Loop(trainer, self._bar).run(self._opened(members, sampler), self._stop):
                self._conclude(run)
        finally:
            for _, _, closing in self._open.values():
                closing.close()

    def _opened(self, members: list[Member], sampler: Sampler) -> Iterator[Run]:
        """Takes up one member after another, as there is room for them."""
        for member in members:
            if self._stop.name is not None:
                return
            with contextlib.ExitStack() as closing:
                try:
                    frames, plan = load_frames(member.config.data, member.config.model)
                    if (plan, frames.pixels.shape, frames.pixels.dtype) != member.shape:
                        raise UserError(f"{member.path.name} has changed since the fleet began")
                    name = member.path.name
                    opened = training.open_run(member.folder, member.config, plan, frames, sampler, name=name)
                    run = closing.enter_context(opened)
                except UserError as error:
                    self._note(member, "failed", str(error))
                    continue
                self._open[run] = member, frames, closing.pop_all()
            if run.finished:
                self._conclude(run)
            else:
                yield run

    def _conclude(self, run: Run) -> None:
        """What a run that has ended leaves behind."""
        member, frames, closing = self._open.pop(run)
        with closing:
            if run.error:
                self._note(member, "diverged", training.what_is_left(run, member.folder))
            elif not run.finished:
                self._note(member, "stopped", f"by {self._stop.name} after step {run.step}; saved")
            else:
                training.write_samples(run, member.config, member.folder, frames)
                self._note(member, "done", "")
        fleet_summary.write(self._folder, entries(self._members))
        usable = sum(member.outcome != "failed" for member in self._members)
        fleet_page.write(self._folder, planned=usable, notes=notes(self._members))

    def _note(self, member: Member, outcome: str, reason: str) -> None:
        member.outcome, member.reason = outcome, reason
        self._tell(f"{outcome:9} {member.path.name}: {reason or member.folder}")

    def _tell(self, line: str) -> None:
        with self._bar.external_write_mode():
            self._say(line)


def entries(members: list[Member]) -> list[dict]:
    """The summary's entries."""
    return [fleet_summary.entry(one.path.name, one.folder, one.outcome, one.reason) for one in members]


def notes(members: list[Member]) -> dict[str, str]:
    """Why members were not trained to the end: by folder, or by picture where there is none."""
    named = [(one.folder.name if one.folder.exists() else one.path.name, one.reason) for one in members]
    return {name: reason for name, reason in named if reason}


def _look_at(member: Member) -> None:
    """Reads the member's picture, plans its model, and sees what its workdir holds."""
    config = member.config
    try:
        frames, plan = load_frames(config.data, config.model)
        training.require_memory(frames, plan, config, 1)
        member.shape = plan, frames.pixels.shape, frames.pixels.dtype
        if completed_steps(member.folder / workdir.CHECKPOINTS) < config.num_steps:
            return
        config_lib.refuse_changes(config_lib.load(member.folder / workdir.CONFIG), config, member.folder)
        same = workdir.load_model(member.folder).digest == workdir.digest(frames.pixels)
        if same and (member.folder / workdir.SAMPLES / sampling.SHEET).exists():
            member.outcome = "done"
    except UserError as error:
        member.outcome, member.reason = "failed", str(error)


def _conclusion(folder: Path, members: list[Member], stop: StopSignal, say: Callable[[str], None]) -> str | None:
    found = entries(members)
    path = fleet_summary.write(folder, found)
    index = fleet_page.write(folder, ended=True, notes=notes(members))
    for line in ["", *fleet_summary.table(found), "", f"{path}", f"{index}"]:
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
