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
from siv_jax.data import PixelFormat, Source, open_source, stored
from siv_jax.data.decoding import one_line
from siv_jax.data.files import no_utf8
from siv_jax.data.folders import natural_key
from siv_jax.data.masks import MaskFormat
from siv_jax.errors import UserError, complaint
from siv_jax.models import registry
from siv_jax.models.interface import Plan

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


def begin(workdir: Path, config: config_lib.Config, plan: Plan, num_steps: int, source: Source, digest: str) -> Record:
    """Writes into a locked workdir what a run of `config` on `source` needs; of an older run there, checks it.

    Its copy of the input is kept anew where frames are missing or damaged.

    Raises UserError: the workdir holds imported weights, a run that differs, one after more steps than `num_steps`, a
      run of another input, or one of another version.
    """
    if (workdir / CONFIG).exists():
        record = load_record(workdir)
        if not record.num_steps:
            raise UserError(f"{workdir} holds imported weights, which are not trained on: choose another --workdir")
        config_lib.refuse_changes(load_config(workdir), config, workdir)
        done = completed_steps(workdir)
        if num_steps < done:
            raise UserError(
                f"the run in {workdir} has done {done:,} steps, more than num_steps {num_steps:,}: set as many or more"
            )
        record = dataclasses.replace(record, num_steps=num_steps)
        if not learns_from(workdir, record, source, digest):
            raise UserError(f"{workdir} holds a run trained on another input ({record.source}); use another --workdir")
        if not _keeps_all(workdir, record):
            original = source if digest == record.digest else load_source(workdir)
            record = dataclasses.replace(record, kept_size=stored.store(original, workdir / SOURCE))
    else:
        kept_size = stored.store(source, workdir / SOURCE)
        record = Record(
            plan=plan,
            format=source.format,
            source=source.name,
            num_steps=num_steps,
            num_frames=source.num_frames,
            frames_found=source.frames_found,
            source_size=source.size,
            kept_size=kept_size,
            digest=digest,
            masks=source.masks.format if source.masks else None,
        )
    save(workdir, config, record)
    return record


def learns_from(workdir: Path, record: Record, source: Source, digest: str) -> bool:
    """Whether the run in a workdir learns from `source`, with this digest.

    That may be the workdir's own copy of the input, when the original is gone, or the original as another version of
    its decoder reads it. Raises UserError: one of them is damaged.
    """
    if digest == record.digest:
        return True
    try:
        kept = load_source(workdir)
    except UserError:
        raise UserError(
            f"{workdir} holds no whole copy of its input, and {source.name} reads otherwise than at first: use another "
            "--workdir"
        ) from None
    return digest == kept.digest() or stored.nearly_equal(source, kept)


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


def load_source(workdir: Path) -> Source:
    """The picture or the frames that the run learns from, as the workdir keeps them.

    Where it does not hold them all, they are read as they were for training. Raises UserError: that is not possible
    either, as for imported weights, or the input is another now; `frames` raises it for what is damaged.
    """
    record = load_record(workdir)
    if not record.num_frames:
        raise UserError(f"{workdir} holds imported weights, which have no training picture")
    try:
        source = _kept(workdir, record)
        if record.num_frames == 1:  # a picture is read once more, to see that it is whole; a clip's frames are many
            next(source.frames())
        return source
    except UserError as problem:
        return _original(workdir, record, problem)


def _kept(workdir: Path, record: Record) -> Source:
    """What lies in source/. Raises UserError: frames are missing, or damaged as far as that is seen."""
    # Imported weights of a model of masks come without the photo's own.
    masks = record.masks if (workdir / SOURCE / stored.MASKS).is_dir() or record.num_steps else None
    return stored.stored(workdir / SOURCE, record.source, record.frames_found, record.format, masks)


def _original(workdir: Path, record: Record, problem: UserError) -> Source:
    """The input where it was when it was trained on, as source/, which has a `problem`, would hold it.

    Raises UserError: it cannot be read, or is another now.
    """
    data = load_config(workdir).data
    try:
        source = open_source(data)
        if source.digest() != record.digest:
            raise UserError(f"{one_line(data.path)} has other pixels than the run learnt from")
    except UserError as error:
        remedy = f"run siv_jax.main with {record.source} and --workdir {workdir}, which keeps it anew"
        if not record.num_steps:
            remedy = "copy that folder again, or import the weights anew with --image"
        raise UserError(f"{problem}, and the original is no help ({error}): {remedy}") from None
    return stored.reduced(source)


def _keeps_all(workdir: Path, record: Record) -> bool:
    """Whether all frames in source/ can be read."""
    try:
        for _ in _kept(workdir, record).frames():
            pass
    except UserError:
        return False
    return True


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
