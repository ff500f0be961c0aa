"""Where a run leaves its traces: grids of samples, checkpoints, logs and its page."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax.data import Source
from siv_jax.errors import DivergedError
from siv_jax.models.interface import Samples
from siv_jax.sampling import pictures
from siv_jax.workdir import layout
from siv_jax.workdir.checkpoint import Checkpoints
from siv_jax.workdir.logs import Logs


@dataclasses.dataclass(frozen=True)
class Output:
    """The workdir of a run; only the first process of a job has one.

    logs: still to be opened, see Logs.opened, before a grid is written.
    report: called with the completed steps at the start, after each new sample grid, and at the end with `ended` true.
    """

    folder: Path
    checkpoints: Checkpoints
    logs: Logs
    report: Callable[..., None]

    def write_grid(self, step: int, samples: Samples, source: Source) -> None:
        """Writes the samples as one picture, masks laid over them as those of `source`, and reports the step.

        Raises:
          DivergedError: they are not finite.
        """
        if not np.isfinite(samples.images).all():
            raise DivergedError(f"the samples are not finite after step {step}")
        folder = self.folder / layout.GRIDS
        folder.mkdir(exist_ok=True)
        shown = pictures.to_uint8(samples.images)
        if source.masks is not None and samples.masks is not None:
            shown = pictures.with_overlays(shown, samples.masks, source.masks.format.colours())
        sheet = pictures.grid(shown)
        pictures.save_png(folder / f"step_{step:08d}.png", sheet)
        self.logs.image(step, sheet)
        self.report(step)

    def last_checkpoint(self) -> int | None:
        """Steps of the newest checkpoint, once everything begun is on disk; None without one."""
        self.checkpoints.wait()
        return self.checkpoints.latest_step()
