"""The folder of a run: what lies where in it, and who may write there.

config.json        every setting, resolved
plan.json          shapes of the model and how its samples are written
frames.npz         the training frames at the training resolution
checkpoints/       Orbax, the last few
grids/             samples of the same latents as training goes on
samples/           the final samples
scalars.jsonl      losses; tensorboard/ holds the same as events
profile/           a trace of some steps, where one was asked for
index.html         all this as a page, with training.png, what the run trains on
"""

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax import config as config_lib
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.plan import Plan

CONFIG, PLAN, FRAMES = "config.json", "plan.json", "frames.npz"
CHECKPOINTS, GRIDS, SAMPLES = "checkpoints", "grids", "samples"
SCALARS, TENSORBOARD, PROFILE = "scalars.jsonl", "tensorboard", "profile"
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class Model:
    """What sampling needs to know of a run besides its weights and its config."""

    plan: Plan
    format: PixelFormat
    source: str  # name of the input
    digest: str  # of the training frames; empty for imported weights


def default_workdir(data_path: str) -> Path:
    """runs/NAME with NAME from the input's, without its ending."""
    name = Path(
        data_path.rstrip("/").split(":", 1)[-1].replace("/", "-") if ":" in data_path else data_path
    ).stem
    return Path("runs") / (name or "run")


def open_for_training(workdir: Path, config: config_lib.Config, model: Model, frames: np.ndarray) -> "Lock":
    """Makes `workdir` ready for a run of `config`, new or resumed, and locks it.

    Raises:
      UserError: it holds something else, a run that differs, a run of other frames, or is in use.
    """
    lock = lock_folder(workdir)
    try:
        _make_ready(workdir, config, model, frames)
    except BaseException:
        lock.release()
        raise
    return lock


def _make_ready(workdir: Path, config: config_lib.Config, model: Model, frames: np.ndarray) -> None:
    if (workdir / CONFIG).exists():
        config_lib.refuse_changes(config_lib.load(workdir / CONFIG), config, workdir)
    if (workdir / PLAN).exists():
        there = load_model(workdir)
        if there.digest != model.digest or there.plan != model.plan:
            raise UserError(
                f"{workdir} holds a run trained on other frames ({there.source}); use another --workdir"
            )
    else:
        write_atomically(workdir / FRAMES, lambda file: np.savez_compressed(file, frames=frames))
    save_config(workdir, config)
    save_model(workdir, model)


def lock_folder(workdir: Path, settings: str = CONFIG) -> "Lock":
    """Makes the folder if need be and claims it for this process; the claim ends with the process.

    Args:
      workdir: of a run, or of a fleet.
      settings: the file by which one of this kind is known.

    Raises:
      UserError: it cannot be made or written to, is in use, or is not empty and holds no `settings`.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        handle = open(workdir / _LOCK, "w")  # noqa: SIM115 (stays open as long as the run)
    except FileExistsError:
        raise UserError(f"{workdir} is a file: choose another --workdir") from None
    except OSError as error:
        raise UserError(f"cannot write to {workdir}: {error.strerror}; choose another --workdir") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UserError(
            f"{workdir} is in use by another run: wait for it or choose another --workdir"
        ) from None
    foreign = [entry.name for entry in workdir.iterdir() if not entry.name.startswith(".")]
    # frames.npz is the first file of a new run, so a run that was killed there holds it alone.
    if set(foreign) - {FRAMES} and not (workdir / settings).exists():
        handle.close()
        (workdir / _LOCK).unlink()
        raise UserError(f"{workdir} holds {sorted(foreign)[0]} but no {settings}: choose a new or empty --workdir")
    return Lock(handle)


class Lock:
    """A claim on a folder, given back by `release` or when the process ends."""

    def __init__(self, handle):
        self._handle = handle

    def release(self) -> None:
        """Lets other processes write there."""
        self._handle.close()


def save_config(workdir: Path, config: config_lib.Config, name: str = CONFIG) -> None:
    """Writes config.json, or the same under another name."""
    write_atomically(workdir / name, lambda file: file.write(config_lib.to_json(config).encode()))


def save_model(workdir: Path, model: Model) -> None:
    """Writes plan.json."""
    text = json.dumps(dataclasses.asdict(model), indent=2) + "\n"
    write_atomically(workdir / PLAN, lambda file: file.write(text.encode()))


def load_model(workdir: Path) -> Model:
    """Reads plan.json.

    Raises:
      UserError: it is missing or not of this version.
    """
    path = workdir / PLAN
    try:
        values = json.loads(path.read_text())
        plan, pixel_format = Plan(**values.pop("plan")), PixelFormat(**values.pop("format"))
        return Model(plan=plan, format=pixel_format, **values)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {workdir} is not the workdir of a run") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as the plan of a run: {error}") from None


def load_frames(workdir: Path) -> np.ndarray:
    """The frames [N, H, W, C] that the run trains on, uint8 or float32 in [-1, 1].

    Raises:
      UserError: they are missing, as for imported weights, or damaged.
    """
    path = workdir / FRAMES
    try:
        # Opened here, since numpy leaves a damaged archive open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive["frames"]
    except FileNotFoundError:
        raise UserError(f"{workdir} holds no training frames") from None
    except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
        raise UserError(f"{path} cannot be read: {error}") from None


def digest(frames: np.ndarray, text: str = "") -> str:
    """Fingerprint of the training frames, by which a resumed run knows its own; or of frames and a text."""
    return hashlib.sha256(f"{frames.shape}{frames.dtype}{text}".encode() + frames.tobytes()).hexdigest()[:16]


def write_atomically(path: Path, write: Callable) -> None:
    """Lets `write(binary file)` fill a hidden file beside `path`, which then takes its place."""
    hidden = path.with_name(f".{path.name}")
    try:
        with open(hidden, "wb") as file:
            write(file)
        os.replace(hidden, path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise
