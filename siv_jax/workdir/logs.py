"""Logs of a run: scalars.jsonl and TensorBoard's events."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from siv_jax.workdir import layout


class Logs:
    """Appends to the logs of one workdir, once they are opened."""

    def __init__(self, folder: Path):
        self._folder = folder

    @contextlib.contextmanager
    def opened(self, start: int) -> Iterator["Logs"]:
        """Goes on after `start` completed steps, until the context ends.

        A run that was stopped after its last checkpoint, or whose last one is damaged, repeats some steps: what it had
        logged of them is dropped.
        """
        folder = self._folder
        path = folder / layout.SCALARS
        kept = [json.dumps(entry) + "\n" for entry in _on_one_clock(entries(folder)) if entry["step"] <= start]
        layout.write_text(path, "".join(kept))
        with open(path, "a", buffering=1, encoding="utf-8") as self._scalars:
            self._events = _EventFile(folder / layout.TENSORBOARD, first_step=start + 1)
            with contextlib.closing(self._events):
                yield self

    def scalars(self, step: int, seconds: float, steps_per_second: float, metrics: dict[str, float]) -> None:
        """One line of scalars.jsonl, and the same as TensorBoard scalars.

        Args:
          seconds: in training, over all stages and resumptions.
        """
        speed = {"seconds": round(seconds, 2), "steps_per_second": round(steps_per_second, 3)}
        self._scalars.write(json.dumps({"step": step} | speed | metrics) + "\n")
        self._events.scalars(step, metrics | {"steps_per_second": steps_per_second})

    def image(self, step: int, sheet: np.ndarray) -> None:
        """A sheet of samples, uint8 [H, W, 3], for TensorBoard."""
        self._events.image(step, "samples", sheet)


class _EventFile:
    """One of TensorBoard's files, written at once and in the calling thread.

    tensorboardX's SummaryWriter has a thread of its own, which a full disk ends with a traceback while the run goes
    on, and holds back two minutes of entries, which a killed run loses.
    """

    def __init__(self, folder: Path, first_step: int):
        """A new file in `folder`; what older ones say of `first_step` and later steps counts no more."""
        # Imported here, so that the rest of the package works without it.
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**6}.{socket.gethostname()}"
        self._event, self._file = Event, RecordWriter(str(folder / name))
        self._write(first_step, file_version="brain.Event:2")
        self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._write(step, summary=scalar(name, value))
        self._file.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        from tensorboardX.summary import image

        self._write(step, summary=image(name, picture, dataformats="HWC"))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **content) -> None:
        self._file.write(self._event(wall_time=time.time(), step=step, **content).SerializeToString())


def entries(folder: Path) -> list[dict]:
    """Entries of scalars.jsonl; none where there is no such file.

    A killed run can leave the last one half written, and a bad disk damaged ones, which are left out.
    """
    path = folder / layout.SCALARS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: str) -> dict | None:
    if not line.endswith("}\n"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    complete = isinstance(found, dict) and {"step", "seconds", "steps_per_second"} <= found.keys()
    return found if complete and all(isinstance(value, int | float) for value in found.values()) else None


def seconds_trained(logged: list[dict]) -> float:
    """Time in training over all stages and resumptions."""
    return max((entry["seconds"] for entry in _on_one_clock(logged)), default=0.0)


def seconds_of_run(folder: Path, step: int) -> float:
    """Time in training of the run in a workdir up to `step`, where its newest checkpoint is.

    That is what its log says, or what the run noted when it ended, if that is more and no later steps were lost since.
    """
    logged = list(_on_one_clock(entries(folder)))
    kept = [entry["seconds"] for entry in logged if entry["step"] <= step]
    noted = layout.load_record(folder).seconds if len(kept) == len(logged) else 0.0
    return max([*kept, noted])


def _on_one_clock(logged: list[dict]) -> Iterator[dict]:
    """The entries as one clock sees them. Older versions had one for each stage and resumption, which began at zero."""
    before = last = 0.0
    for entry in logged:
        before += last if entry["seconds"] < last else 0.0
        last = entry["seconds"]
        yield entry | {"seconds": round(before + last, 2)}
