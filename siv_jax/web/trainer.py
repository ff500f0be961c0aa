"""Training as a process of its own, which the page starts, finds again and stops.

FOLDER/.training       run, number and command of the process that was started last
FOLDER/.training.lock  held while one is being started
FOLDER/RUN/.log.txt    what the process said
FOLDER/RUN/.upload/    the files that were dropped on the page; a mask in mask/
"""

import contextlib
import dataclasses
import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import psutil

from siv_jax import config as config_lib
from siv_jax import system
from siv_jax.cli import config_file
from siv_jax.data import open_source
from siv_jax.data.files import CLIP_SUFFIXES
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.train import devices, fleet, fleet_members, memory, single
from siv_jax.workdir import layout

LOG = ".log.txt"
_CLAIM, _LOCK, _UPLOAD = ".training", ".training.lock", ".upload"
_NAME = re.compile(r"[^/\\:\0\n.][^/\\:\0\n]{0,99}")
_PATIENCE = 10.0  # seconds for another page that is just starting a training
QUICK, PAPER = "two minutes", "the paper's setting"
# What may be chosen beside the configs' own names -> their config, for a photo.
CHOICES = {QUICK: "quick", PAPER: "single_image"}
CHOICES_OF_ALL = {QUICK: "fastgan_small", PAPER: "fastgan"}
CHOICES_WITH_MASK = {QUICK: "masks", PAPER: "masks_paper"}
_FOR_CLIPS = {"single_image": "single_video"}


@dataclasses.dataclass(frozen=True)
class Training:
    """A process that trains `run`."""

    run: str
    pid: int


def current(folder: Path) -> Training | None:
    """What is in training in `folder`, whoever started it from a page."""
    try:
        claim = json.loads((folder / _CLAIM).read_text(encoding="utf-8"))
        training, command = Training(claim["run"], claim["pid"]), claim["command"]
        # Another process may have got the number since then. The first word is the interpreter, by any of its names.
        return training if command and psutil.Process(training.pid).cmdline()[1:] == command[1:] else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError, psutil.Error):  # none yet, or gone
        return None


def configs() -> list[str]:
    """Names of the configs that train one model of a dropped file."""
    inside = set(config_file.names()) - {"fleet", "davis", "places", "ablations"}
    return sorted(inside)


def start(
    folder: Path, dropped: list[str], choice: str, name: str = "", mask: str | Path | None = None, each: bool = True
) -> str:
    """Starts training on dropped files; returns the name of the new run.

    Args:
      folder: of the runs.
      dropped: paths of the files.
      choice: QUICK, PAPER or the name of a config.
      name: of the run; after the first file if empty.
      mask: path of a mask of the photo, for a model that learns both.
      each: of several photos, whether each gets a model of its own (a fleet), not all of them one.

    Raises UserError: nothing, or nothing usable, was dropped, or another run is in training.
    """
    if not dropped:
        raise UserError("drop a photo or a clip first")
    _require_idle(folder)
    if name and not _NAME.fullmatch(name):
        raise UserError(
            f"{name[:80]!r} cannot be the name of a run: it has / \\ or :, begins with a dot or is too long"
        )
    several = len(dropped) > 1
    if several and mask:
        raise UserError("a mask belongs to one photo: drop that alone")
    if several and any(Path(path).suffix.lower() in CLIP_SUFFIXES for path in dropped):
        raise UserError("several files at once are photos: drop a clip alone")
    config = _config_name(choice, Path(dropped[0]), mask is not None, several and not each)
    run = _made(folder, name or Path(dropped[0]).stem.lstrip(".")[:80] or "run")
    upload = (folder / run / _UPLOAD).absolute()
    try:
        paths = [_copied(Path(path), upload) for path in dropped]
        flags = {"data.path": str(upload if several else paths[0])}
        if mask is not None:
            flags["data.mask"] = str(_copied(Path(mask), upload / "mask"))
        if several and each:
            flags["fleet.enabled"] = "True"
        _require_trainable(config, flags)
        _train(folder, run, ["--config", config, *(f"--config.{key}={value}" for key, value in flags.items())])
    except BaseException:  # another page was faster, the disk is full, ...
        shutil.rmtree(folder / run, ignore_errors=True)
        raise
    return run


def resume(folder: Path, run: str) -> None:
    """Goes on with a run.

    Raises UserError: it never began, or another one is in training.
    """
    settings = folder / run / fleet.SETTINGS
    if not settings.exists():
        layout.load_config(folder / run)
        settings = folder / run / layout.CONFIG
    _require_idle(folder)
    _train(folder, run, ["--config", str(settings)])


def stop(folder: Path) -> None:
    """Has the run in training save and end. Raises UserError: none is, or it cannot be reached from here."""
    training = current(folder)
    if training is None:
        raise UserError("nothing is in training")
    try:
        system.ask_to_stop(training.pid)
    except psutil.NoSuchProcess:
        raise UserError("nothing is in training") from None
    except (psutil.Error, OSError) as error:
        raise UserError(f"{training.run} cannot be stopped from here ({error}): stop process {training.pid}") from None


def said(folder: Path, run: str, lines: int = 12) -> list[str]:
    """The last lines that the training of a run said."""
    try:
        text = (folder / run / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def _config_name(choice: str, dropped: Path, with_mask: bool, of_all: bool) -> str:
    if choice not in CHOICES:
        if choice not in configs():
            raise UserError(f"there is no config {choice[:80]!r} to choose; there are {', '.join(configs())}")
        return choice
    if with_mask or of_all:
        return (CHOICES_WITH_MASK if with_mask else CHOICES_OF_ALL)[choice]
    name = CHOICES[choice]
    return _FOR_CLIPS.get(name, name) if dropped.suffix.lower() in CLIP_SUFFIXES else name


def _require_trainable(config: str, flags: dict[str, str]) -> None:
    """Raises UserError: a file or the config cannot be used, or the run would not fit into memory."""
    typed = config_lib.from_config_dict(config_file.load(config))
    if "data.mask" not in flags and "mask" in registry.get(typed.model.name).inputs:
        raise UserError(f"{config} learns from a photo and its mask: drop or paint a mask, too")
    devices.use(1)
    if "fleet.enabled" in flags:
        _require_member(config_lib.with_overrides(typed, {"data.path": flags["data.path"]}))
    else:
        typed = config_lib.with_overrides(typed, flags)
        memory.require(single.make_task(typed, open_source(typed.data), 1), 1)


def _require_member(config: config_lib.Config) -> None:
    """Raises UserError: none of the pictures in config.data.path can be trained on."""
    members = fleet_members.survey(config, Path(config.data.path))
    if all(member.outcome == "failed" for member in members):
        raise UserError(members[0].reason)


def _copied(file: Path, folder: Path) -> Path:
    """A copy in a folder, under a name that is free there."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(file, folder / _free_file(folder, file)))


def _require_idle(folder: Path) -> None:
    training = current(folder)
    if training is not None:
        raise UserError(f"{training.run} is in training: stop it first, or wait until it is done")


def _made(folder: Path, wanted: str) -> str:
    """Makes the folder `wanted`, or wanted-2, ... where that is taken; returns its name."""
    for number in itertools.count(1):
        name = wanted if number == 1 else f"{wanted}-{number}"
        with contextlib.suppress(FileExistsError):
            (folder / name).mkdir(parents=True)
            return name


def _free_file(folder: Path, file: Path) -> str:
    name, number = file.name, 1
    while (folder / name).exists():
        number += 1
        name = f"{file.stem}-{number}{file.suffix}"
    return name


def _train(folder: Path, run: str, flags: list[str]) -> None:
    """Starts the process, which goes on when this one ends. Raises UserError: another one is in training.

    It uses one device: the batch of most configs cannot be shared out.
    """
    command = [sys.executable, "-m", "siv_jax.main", *flags, "--workdir", str(folder / run), "--devices", "1"]
    try:
        with filelock.FileLock(folder / _LOCK, timeout=_PATIENCE), open(folder / run / LOG, "ab") as log:
            _require_idle(folder)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **system.apart())
            try:
                claim = {"run": run, "pid": process.pid, "command": _shown_command(process)}
                layout.write_text(folder / _CLAIM, json.dumps(claim))
            except BaseException:  # nobody would find it again
                system.end_at_once(process)
                process.wait()
                raise
    except filelock.Timeout:
        raise UserError("another training is just being started: try again") from None
    threading.Thread(target=process.wait, daemon=True).start()


def _shown_command(process: subprocess.Popen) -> list[str]:
    """The command of a process as the system shows it, which begins a moment after the start; empty if it has ended."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            if shown := psutil.Process(process.pid).cmdline():
                return shown
        time.sleep(0.005)
    return []
