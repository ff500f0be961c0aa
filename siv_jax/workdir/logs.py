"""What a run leaves to look at while it goes on: scalars, sample grids and a page that shows them."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax.report import run_page as page
from siv_jax.sampling import image_files as pictures
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.events import EventFile

_HEADLINE = {"generator loss": "loss_g", "discriminator loss": "loss_d", "diversity": "diversity"}


class Writer:
    """Appends to the logs of one workdir, from `start` completed steps on, and calls `watch` after each grid.

    A run that was stopped after its last checkpoint repeats some steps: what it had logged of them is dropped.
    """

    def __init__(self, folder: Path, start: int, watch: Callable[[int], None] | None = None):
        self._folder = folder
        path = folder / workdir.SCALARS
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= start]
        workdir.write_atomically(path, lambda file: file.write("".join(kept).encode()))
        self._step, self._watch = start, watch
        self._page = page.RunPage(folder, "SIV-GAN", _HEADLINE)
        with contextlib.ExitStack() as stack:
            self._scalars = stack.enter_context(open(path, "a", buffering=1))
            self._events = EventFile(folder / workdir.TENSORBOARD, first_step=start + 1)
            stack.callback(self._events.close)
            self._page.write(start)
            self._files = stack.pop_all()  # open as long as the run

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_) -> None:
        self._files.close()
        self._page.write(self._step, ended=True)

    def scalars(self, step: int, seconds: float, steps_per_second: float, metrics: dict[str, float]) -> None:
        """One line of scalars.jsonl, and the same as TensorBoard scalars."""
        self._step = step
        speed = {"seconds": round(seconds, 2), "steps_per_second": round(steps_per_second, 3)}
        self._scalars.write(json.dumps({"step": step} | speed | metrics) + "\n")
        self._events.scalars(step, metrics | {"steps_per_second": steps_per_second})

    def grid(self, step: int, images: np.ndarray) -> Path:
        """Writes a grid of uint8 images [N, H, W, C] and the page anew; returns the grid's path."""
        self._step = step
        folder = self._folder / workdir.GRIDS
        folder.mkdir(exist_ok=True)
        path = folder / f"step_{step:08d}.png"
        sheet = pictures.grid(images)
        pictures.save_png(path, sheet)
        self._events.image(step, "samples", sheet)
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
