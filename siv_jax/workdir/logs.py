"""Logs of a run: scalars.jsonl and TensorBoard's events."""

import contextlib
import itertools
import json
from pathlib import Path

import numpy as np

from siv_jax.workdir import layout
from siv_jax.workdir.event_file import EventFile


class Logs:
    """Appends to the logs of one workdir, from `start` completed steps on; a context manager.

    A run that was stopped after its last checkpoint repeats some steps: what it had logged of them is dropped. Nothing
    is written before the context is entered.
    """

    def __init__(self, folder: Path, start: int):
        self._folder, self._start = folder, start

    def __enter__(self) -> "Logs":
        folder, start = self._folder, self._start
        path = folder / layout.SCALARS
        kept = [json.dumps(entry) + "\n" for entry in entries(folder) if entry["step"] <= start]
        layout.write_text(path, "".join(kept))
        with contextlib.ExitStack() as stack:
            self._scalars = stack.enter_context(open(path, "a", buffering=1, encoding="utf-8"))
            self._events = EventFile(folder / layout.TENSORBOARD, first_step=start + 1)
            stack.callback(self._events.close)
            self._files = stack.pop_all()  # open as long as the run
        return self

    def __exit__(self, *_) -> None:
        self._files.close()

    def scalars(self, step: int, seconds: float, steps_per_second: float, metrics: dict[str, float]) -> None:
        """One line of scalars.jsonl, and the same as TensorBoard scalars."""
        speed = {"seconds": round(seconds, 2), "steps_per_second": round(steps_per_second, 3)}
        self._scalars.write(json.dumps({"step": step} | speed | metrics) + "\n")
        self._events.scalars(step, metrics | {"steps_per_second": steps_per_second})

    def image(self, step: int, sheet: np.ndarray) -> None:
        """A sheet of samples, uint8 [H, W, 3], for TensorBoard."""
        self._events.image(step, "samples", sheet)


def entries(folder: Path) -> list[dict]:
    """Entries of scalars.jsonl; none where there is no such file. A killed run can leave the last one half written."""
    path = folder / layout.SCALARS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n") and line.startswith('{"step": ')]


def seconds_trained(logged: list[dict]) -> float:
    """Time in training over all resumptions, each of which starts its clock at zero."""
    clock = [entry["seconds"] for entry in logged] + [0.0]
    return sum(now for now, after in itertools.pairwise(clock) if after < now)
