"""What a run leaves to look at while it goes on: scalars, sample grids and a page that shows them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax import page, pictures, workdir


class Writer:
    """Appends to the logs of one workdir, from `start` completed steps on, and calls `watch` after each grid.

    A run that was stopped after its last checkpoint repeats some steps: what it had logged of them is dropped.
    """

    def __init__(self, folder: Path, start: int, watch: Callable[[int], None] | None = None):
        # Imported here, so that the rest of the package works without it.
        from tensorboardX import SummaryWriter

        self._folder = folder
        path = folder / workdir.SCALARS
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= start]
        workdir.write_atomically(path, lambda file: file.write("".join(kept).encode()))
        self._scalars = open(path, "a", buffering=1)  # noqa: SIM115 (open as long as the run)
        self._events = SummaryWriter(
            str(folder / workdir.TENSORBOARD), purge_step=start + 1, write_to_disk=True
        )
        self._step, self._watch = start, watch
        self._page = page.RunPage(folder)
        self._page.write(start)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_) -> None:
        self._scalars.close()
        self._events.close()
        self._page.write(self._step, ended=True)

    def scalars(self, step: int, seconds: float, steps_per_second: float, metrics: dict[str, float]) -> None:
        """One line of scalars.jsonl, and the same as TensorBoard scalars."""
        self._step = step
        speed = {"seconds": round(seconds, 2), "steps_per_second": round(steps_per_second, 3)}
        self._scalars.write(json.dumps({"step": step} | speed | metrics) + "\n")
        for name, value in (metrics | {"steps_per_second": steps_per_second}).items():
            self._events.add_scalar(name, value, step)

    def grid(self, step: int, images: np.ndarray) -> Path:
        """Writes a grid of uint8 images [N, H, W, C] and the page anew; returns the grid's path."""
        self._step = step
        folder = self._folder / workdir.GRIDS
        folder.mkdir(exist_ok=True)
        path = folder / f"step_{step:08d}.png"
        sheet = pictures.grid(images)
        pictures.save_png(path, sheet)
        self._events.add_image("samples", sheet, step, dataformats="HWC")
        self._page.write(step)
        if self._watch is not None:
            self._watch(step)
        return path


def _complete_lines(path: Path) -> list[str]:
    """Lines of `path` that hold an entry; a killed run can leave the last one half written."""
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    return [line for line in lines if line.endswith("}\n") and line.startswith('{"step": ')]
