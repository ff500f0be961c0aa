"""The folder of a run: what lies where in it, and who may write there.

config.json        every setting, resolved
plan.json          the model's shapes, and what is known of the input
source/            the picture, or the frames of the clip, that the run learns from
checkpoints/       Orbax, the last few
grids/             samples of the same noise as training goes on
samples/           the final samples, as the network draws them
rendered/          the same samples, or a part of each, made sharp from the photo's own patches
scalars.jsonl      losses; tensorboard/ holds the same as events
profile/           a trace of some steps, where one was asked for
index.html         all this as a page, with training.png, what the run learns from
"""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pydantic

from siv_jax import config as config_lib
from siv_jax import system
from siv_jax.data import PixelFormat
from siv_jax.data.files import no_utf8
from siv_jax.data.folders import natural_key
from siv_jax.data.masks import MaskFormat
from siv_jax.errors import UserError, complaint
from siv_jax.models import registry

CONFIG, PLAN, SOURCE = "config.json", "plan.json", "source"
CHECKPOINTS, GRIDS, SAMPLES, RENDERED = "checkpoints", "grids", "samples", "rendered"
SCALARS, TENSORBOARD, PROFILE = "scalars.jsonl", "tensorboard", "profile"
LOCK = ".lock"
# Of the files of a workdir; 0.1 of the package had none.
VERSION = 2


@dataclasses.dataclass(frozen=True)
class Record:
    """What a workdir knows of its model and its input, beside its config.

    source: name of the input.
    num_steps: training steps of all stages together; 0 for imported weights.
    num_frames: frames that the run learns from, 1 for a picture; 0 for imported weights without a picture.
    frames_found: frames of the input before stride and data.max_frames.
    source_size, kept_size: (height, width) of the input and of the frames in source/.
    digest: of the input's pixels; empty for imported weights without a picture.
    masks: how the input's masks hold their labels; None without masks.
    seconds: in training, when the run ended last; 0.0 before that.
    """

    plan: Any
    format: PixelFormat
    source: str
    num_steps: int = 0
    num_frames: int = 0
    frames_found: int = 0
    source_size: tuple[int, int] = (0, 0)
    kept_size: tuple[int, int] = (0, 0)
    digest: str = ""
    masks: MaskFormat | None = None
    seconds: float = 0.0


def default_workdir(data_path: str) -> Path:
    """runs/NAME with NAME from the input's, without its ending."""
    kind, colon, name = data_path.partition(":")
    if colon and kind in ("tfds", "example"):
        return Path("runs") / name.strip("/").replace("/", "-").replace(":", "-")
    # A colon cannot stand in the name of a folder on Windows.
    return Path("runs") / (Path(os.path.expanduser(data_path)).resolve().stem.replace(":", "-") or "run")


def lock(workdir: Path, settings: str = CONFIG) -> filelock.FileLock:
    """Makes the folder if need be and claims it for this process, until `release` or the end of the process.

    Args:
      workdir: of a run, or of a fleet.
      settings: the file by which one of this kind is known.

    Raises UserError: it cannot be made or written to, is in use, or is not empty and holds no `settings`.
    """
    try:
        str(workdir.resolve()).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(no_utf8(error.object)) from None
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        claim = filelock.FileLock(workdir / LOCK, blocking=False)
        claim.acquire()
    except FileExistsError:
        raise UserError(f"{workdir} is a file: choose another --workdir") from None
    except filelock.Timeout:
        raise UserError(f"{workdir} is in use by another run: wait for it or choose another --workdir") from None
    except OSError as error:
        raise UserError(f"cannot write to {workdir}: {error.strerror}; choose another --workdir") from None
    foreign = sorted(entry.name for entry in workdir.iterdir() if not entry.name.startswith("."))
    # The settings are written last, so a run that was killed before leaves the others without them.
    if set(foreign) - {SOURCE, PLAN} and not (workdir / settings).exists():
        claim.release()
        (workdir / LOCK).unlink(missing_ok=True)
        raise UserError(f"{workdir} holds {foreign[0]} but no {settings}: choose a new or empty --workdir")
    return claim


def save(workdir: Path, config: config_lib.Config, record: Record) -> None:
    """Writes plan.json and config.json."""
    values = {"version": VERSION, **dataclasses.asdict(record)}
    write_text(workdir / PLAN, json.dumps(values, indent=2) + "\n")
    write_text(workdir / CONFIG, config_lib.to_json(config))


def load_config(workdir: Path) -> config_lib.Config:
    """Reads config.json. Raises UserError: it is missing or of another version."""
    _read_plan(workdir)
    return config_lib.load(workdir / CONFIG)


def load_record(workdir: Path) -> Record:
    """Reads plan.json. Raises UserError: it is missing or of another version."""
    values, family = _read_plan(workdir), registry.get(load_config(workdir).model.name)
    try:
        plan, masks = _typed(family.Plan, values.pop("plan")), values.pop("masks", None)
        if min(plan.height, plan.width, plan.channels) < 1:
            raise ValueError(f"the plan is of {plan.width}x{plan.height} pixels with {plan.channels} channels")
        pixel_format = _typed(PixelFormat, values.pop("format"))
        np.dtype(pixel_format.dtype)
        masks = masks and _typed(MaskFormat, masks)
        return _typed(Record, values | {"plan": plan, "format": pixel_format, "masks": masks})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{workdir / PLAN} cannot be read as the plan of a run: {complaint(error)}; put the original file back"
        ) from None


def completed_steps(workdir: Path) -> int:
    """Completed steps of the newest checkpoint of a run, without opening it; 0 where there is none."""
    folder = workdir / CHECKPOINTS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0)


def runs_in(folder: Path) -> list[Path]:
    """Workdirs of runs in the subfolders of `folder`, in natural order."""
    return sorted((path.parent for path in folder.glob(f"*/{CONFIG}")), key=lambda run: natural_key(run.name))


def write_atomically(path: Path, write: Callable) -> None:
    """Lets `write(binary file)` fill a hidden file beside `path`, which then takes its place."""
    hidden = path.with_name(f".{path.name}")
    try:
        with open(hidden, "wb") as file:
            write(file)
        system.replace(hidden, path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, complete or not at all."""
    write_atomically(path, lambda file: file.write(text.encode()))


def _typed(kind: type, values: dict) -> Any:
    """A dataclass of values from JSON, each of which has its type."""
    if unknown := values.keys() - {field.name for field in dataclasses.fields(kind)}:
        raise ValueError(f"{min(unknown)!r} is not known")
    return pydantic.TypeAdapter(kind).validate_python(values)


def _read_plan(workdir: Path) -> dict:
    """What plan.json holds beside its version, which must be this one."""
    path = workdir / PLAN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("version", None)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {workdir} is not the workdir of a run") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as the plan of a run: {error}") from None
    if version != VERSION:
        older = "siv_jax 0.1" if version is None else f"another version of siv_jax (files of version {version})"
        raise UserError(f"{workdir} is the workdir of {older}: use it there, or train anew in another workdir")
    return values
