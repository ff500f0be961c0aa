"""One model in training: where it stands, and what is logged, drawn and saved as it goes on."""

import time
from collections.abc import Callable

import jax
import numpy as np
from tqdm import tqdm

from siv_jax.config import Config
from siv_jax.errors import DivergedError
from siv_jax.models.siv_gan.state import TrainState
from siv_jax.sampling import image_files as pictures
from siv_jax.sampling.trained_model import Sampler, latents
from siv_jax.workdir.checkpoint import Checkpoints, require_finite
from siv_jax.workdir.logs import Writer


class Run:
    """A run, which a loop takes up at `state` and leaves at `state`.

    Attributes:
      state: numpy arrays.
      step: completed steps.
      frames: what it trains on, [N, H, W, C].
      error: what ended it before its last step, if anything did; its last good checkpoint stays.
    """

    def __init__(
        self,
        config: Config,
        state: TrainState,
        frames: np.ndarray,
        checkpoints: Checkpoints | None,
        writer: Writer | None,
        sampler: Sampler,
        name: str = "",
    ):
        """`checkpoints` and `writer` are None in processes that write nothing; `name` goes before the losses shown."""
        self.state, self.frames = state, frames
        self.step = int(state.step)
        self.error: DivergedError | None = None
        self.name = name
        self._config, self._checkpoints, self._writer, self._sampler = config, checkpoints, writer, sampler
        self._log = _Log(self.step, writer)
        self._due: list[Callable[[], None]] = []  # what is written once it has arrived from the devices
        self._latents = latents(config.seed, 0, config.num_samples, config.model.noise_dim)

    @property
    def finished(self) -> bool:
        """Whether its last step is done."""
        return self.step >= self._config.num_steps

    def begin(self) -> None:
        """Starts the clock of its log, which leaves out compilation."""
        self._log.begin()

    def until_event(self) -> int:
        """Steps until something is to be done."""
        config, step = self._config, self.step
        events = [every - step % every for every in (config.log_every, config.sample_every, config.checkpoint_every)]
        return min(*events, config.num_steps - step)

    def advanced(self, count: int, state, totals, snapshot: Callable) -> bool:
        """Notes what is due after `count` further steps; says whether the sums of the metrics begin anew.

        Does not wait: `flush`, called when the next steps are under way, writes it.

        Args:
          count: at most until_event().
          state, totals: what the steps returned, on the devices.
          snapshot: gives copies on the device of this run's part of these, see Trainer.snapshot.
        """
        config = self._config
        self.step += count
        logs = self.step % config.log_every == 0 or self.finished
        if logs:
            self._log.due(self.step, snapshot(totals))
        draws = self.step % config.sample_every == 0 or self.finished
        saves = self.step % config.checkpoint_every == 0 and not self.finished
        part = snapshot(state) if draws or saves else None
        if draws and self._writer is not None:
            images = self._sampler.start(part.ema, part.vectors_g, self._latents)
            self._due.append(lambda step=self.step: self._writer.grid(step, pictures.to_uint8(images())))
        if saves:
            self._due.append(lambda: self._save(jax.device_get(part)))
        return logs

    def flush(self, bar: tqdm) -> None:
        """Writes what is due, once it has arrived; `bar` shows the losses.

        Raises:
          DivergedError: a loss, or a weight that was to be saved, is not finite.
        """
        shown = self._log.flush()
        if shown:
            bar.set_postfix_str(f"{self.name} {shown}".strip(), refresh=False)
        due, self._due = self._due, []
        for write in due:
            write()

    def finish(self, state: TrainState, bar: tqdm) -> None:
        """Writes and saves the rest; returns when everything is on disk.

        Raises:
          DivergedError: a loss or a weight is not finite.
        """
        self.flush(bar)
        self.state = state
        self._save(state)
        self.wait()

    def wait(self) -> int | None:
        """Steps of the newest checkpoint, once everything begun is on disk; None without one."""
        if self._checkpoints is None:
            return None
        self._checkpoints.wait()
        return self._checkpoints.latest_step()

    def draw(self, state: TrainState, z: np.ndarray) -> np.ndarray:
        """Samples of `state` for latents z, see Sampler."""
        return self._sampler(state.ema, state.vectors_g, z)

    def _save(self, state: TrainState) -> None:
        # Every process of a job looks, so that all of them end alike.
        require_finite(state)
        if self._checkpoints is not None:
            self._checkpoints.save(state)


class _Log:
    """Means of the metrics since the last entry, written when their values have arrived."""

    def __init__(self, step: int, writer: Writer | None):
        self._writer = writer
        self._step = step
        self._pending: tuple[int, dict] | None = None
        self.begin()

    def begin(self) -> None:
        """Counts seconds from now on."""
        self._time = self._begun = time.monotonic()

    def due(self, step: int, totals: dict) -> None:
        """Notes the sums of the metrics up to `step`; does not wait for them."""
        self._pending = (step, totals)

    def flush(self) -> str:
        """Writes what is due and returns it for the progress bar; empty where nothing is.

        Raises:
          DivergedError: a loss since the last entry is not finite.
        """
        if self._pending is None:
            return ""
        step, totals = self._pending
        self._pending = None
        count = step - self._step
        means = {name: float(value) / count for name, value in sorted(jax.device_get(totals).items())}
        if means.pop("finite") < 1.0 or not np.isfinite(list(means.values())).all():
            raise DivergedError(f"the loss is not finite between steps {self._step} and {step}")
        now = time.monotonic()
        speed = count / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        if self._writer is not None:
            self._writer.scalars(step, now - self._begun, speed, means)
        return f"G {means['loss_g']:.3f} D {means['loss_d']:.3f} diversity {means['diversity']:.3f}"
