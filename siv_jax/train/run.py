"""One model in training: where it stands, and what is logged, drawn and saved as it goes on."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from siv_jax.errors import DivergedError, UserError
from siv_jax.sampling.drawer import Drawer
from siv_jax.train import processes, speed
from siv_jax.train.devices import Program
from siv_jax.train.mean_metrics import MeanMetrics
from siv_jax.train.output import Output
from siv_jax.train.pace import Pace
from siv_jax.train.profile import Profile
from siv_jax.train.task import Task
from siv_jax.workdir import layout
from siv_jax.workdir.checkpoint import Saved, require_finite
from siv_jax.workdir.logs import seconds_of_run

# A grid is drawn before the first step and after so many, so that something is to be seen soon.
_EARLY = 50


class Run:
    """A run of a task on some devices, from where its workdir stands.

    Attributes:
      step: completed steps over all stages.
      num_steps: of all stages.
      name: of the picture, for the progress bar of a fleet.
      error: what ended it before its last step, if anything did; its last good checkpoint stays.
      shown: the latest headline metrics, for the progress bar.
    """

    def __init__(
        self,
        task: Task,
        devices: list[jax.Device],
        output: Output | None,
        programs: dict,
        profile: Profile | None = None,
        name: str = "",
    ):
        """`programs` keeps what is compiled, for runs of the same shapes and settings on the same devices."""
        self.task, self.name, self.shown = task, name, ""
        self.error: DivergedError | None = None
        self.notes: list[str] = []  # on taking it up
        self.num_steps = task.num_steps
        self.drawer = Drawer(task.family.sampler(task.config, task.plan), task.plan, task.source.size)
        self._devices, self._output, self._programs, self._profile = devices, output, programs, profile
        self._pace = Pace()
        self._due: list[Callable[[], None]] = []  # what is written once it has arrived from the devices
        self._noise = self.drawer.noise(task.config.seed, 0, task.config.num_samples)
        self._stage, self._at, self._state, self._data = self._taken_up()
        logs, before = output.logs if output else None, self._seconds_before()
        self._log = MeanMetrics(self.step, logs, task.family.headline, before)
        self._program: Program | None = None  # of the stage, once begun
        if self._stage_done and not self.ended:
            self._enter_next_stage()

    @property
    def step(self) -> int:
        """Completed steps over all stages."""
        return self._before(self._stage) + self._at

    @property
    def arrived(self) -> int:
        """Steps, over all stages, that the devices are known to have made; those of a call are not while it lasts."""
        return self.step - self._pace.steps_in_flight

    @property
    def ended(self) -> bool:
        """Whether its last step is done, or it diverged."""
        return self.step >= self.num_steps or self.error is not None

    def begin(self) -> None:
        """Compiles the stage's program, unless that has been done, and moves the state to the devices."""
        shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), jax.tree.leaves(self._data))
        same = self._stage, self.task.plan, str(shapes), tuple(device.id for device in self._devices)
        if same not in self._programs:
            program = Program(self.task.stages[self._stage], self._devices)
            program.compile(self._state, self._data, self._key(self._stage), self._at)
            self._programs[same] = program
        self._program = program = self._programs[same]
        self._state, self._placed_data = program.put(self._state), program.put(self._data)
        self._totals = program.zero_totals()
        self._log.begin()
        if self.step == 0:
            self._draw(program.snapshot(self._state))

    def seconds_per_step(self) -> float:
        """Measured with a copy of the state, after `begin`."""
        state, data = map(self._program.fetch, (self._state, self._placed_data))
        return speed.seconds_per_step(self._program, state, data, self._key(self._stage), self._at)

    @property
    def _stage_done(self) -> bool:
        return self._at == self.task.stages[self._stage].num_steps

    @property
    def begun(self) -> bool:
        """Whether `begin` was called for the present stage."""
        return self._program is not None

    def steps_wanted(self) -> int:
        """Steps for the next call: no further than the next event, and what takes about two seconds.

        Where something is yet to be compiled the call begins with it, so that a signal is seen between two of them.
        """
        config, step = self.task.config, self.step
        events = [every - step % every for every in (config.log_every, config.sample_every, config.checkpoint_every)]
        events += [_EARLY - step] if step < _EARLY else []
        left = self.task.stages[self._stage].num_steps - self._at
        wanted = min(*events, left, self._pace.steps_per_call())
        if self._program:
            wanted = self._program.at_once(self._key(self._stage), self._at, wanted)
        return self._profile.steps_per_call(wanted) if self._profile else wanted

    def advance(self, count: int) -> None:
        """Dispatches `count` more steps, at most `steps_wanted()`, and does what was due before them meanwhile.

        Waits for the steps of the call before, so that two calls at most are in flight.
        """
        if self._profile:
            self._profile.before_call()
        self._state, self._totals, ticket = self._program.advance(
            self._state, self._totals, self._placed_data, self._key(self._stage), self._at, count
        )
        if self._profile:
            self._profile.after_call(ticket, count)
        with self._noting_divergence():
            self._flush()
            self._pace.wait(ticket, count)
            self._at += count
            self._notice()
            if self._stage_done and not self.ended:
                self._flush()
                self._enter_next_stage()

    @property
    def seconds(self) -> float:
        """Time in training, over all resumptions; compiling the first program of a stage does not count."""
        return self._log.seconds

    @property
    def time_is_up(self) -> bool:
        """Whether training has taken config.time_limit."""
        return self.seconds >= self.task.config.seconds

    def end_for_time(self) -> None:
        """Makes the present step the last one, since the time is up, by this process's clock or another one's."""
        self.num_steps = self.step
        self._log.pause(at_least=self.task.config.seconds)
        with self._noting_divergence():
            self._flush()
            if self.begun:
                self._notice()

    def finish(self) -> None:
        """Writes and saves the rest; returns when everything is on disk."""
        if self.begun:
            self._state = self._program.fetch(self._state)
        if self.error is None:
            with self._noting_divergence():
                self._flush()
                self._save(self.step, self._stage, self._at, self._state)
        self._log.pause()
        self._pace = Pace()
        self.last_checkpoint()

    def last_checkpoint(self) -> int | None:
        """Steps of the newest checkpoint, once everything begun is on disk; None without one."""
        return self._output.last_checkpoint() if self._output else None

    def weights(self) -> Any:
        """What sampling needs, after `finish` or before `begin`."""
        return self.task.stages[self._stage].weights(self._state)

    def _taken_up(self) -> tuple[int, int, Any, Any]:
        """(stage, completed steps in it, state, data): new, or from the newest checkpoint.

        Of a job's processes the first alone uses the workdir; the others get its state and data.
        """
        stages, saved = self.task.stages, None
        if self._output is not None and self._output.checkpoints.latest_step() is not None:
            saved, self.notes = self._output.checkpoints.restore()
        at = np.array([saved.stage, saved.step] if saved else [0, 0], np.int32)
        number, step = map(int, processes.from_first(at))
        with processes.together():
            moved = saved and self._before(number) + step != self._output.checkpoints.latest_step()
            if moved or number >= len(stages):
                raise UserError("num_steps cannot change here: it moved the stages of training")
        data = self._data_of(number)
        if number == 0 and step == 0 and saved is None:
            state = stages[0].init(self._key(0), data, None)
        else:
            state = self._restored(saved, number, data)
        state = processes.from_first(state)
        return number, step, state, data

    def _seconds_before(self) -> float:
        """Time in training when the run was taken up, the same in all processes of a job."""
        found = np.array([seconds_of_run(self._output.folder, self.step) if self._output else 0.0])
        # As bytes: on its way JAX would round a number to float32, which may be just below the time limit.
        return float(processes.from_first(found.view(np.uint8)).view(np.float64)[0])

    def _restored(self, saved: Saved | None, number: int, data: Any) -> Any:
        """The state of stage `number`, filled from `saved` where this process has it."""
        stages, like = self.task.stages, None
        for i in range(number + 1):
            its_data = data if i == number else stages[i].data(self.task.source)
            like = jax.eval_shape(functools.partial(stages[i].init, self._key(i), its_data), like)
        if saved is None:
            return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        try:
            return saved.state(like, stages[number].weights)
        except (ValueError, KeyError) as error:
            folder = self._output.folder
            raise UserError(
                f"the checkpoint in {folder} does not fit its {layout.CONFIG} and {layout.PLAN}: {error}; put these "
                "files back as they were"
            ) from None

    def _data_of(self, number: int) -> Any:
        """Data of a stage, the same in all processes of a job."""
        return processes.from_first(self.task.stages[number].data(self.task.source))

    def _before(self, number: int) -> int:
        return sum(stage.num_steps for stage in self.task.stages[:number])

    def _key(self, number: int) -> np.ndarray:
        """Raw key data of a stage."""
        return np.array([number, self.task.config.seed], np.uint32)

    def _enter_next_stage(self) -> None:
        self._log.pause()
        previous = self._program.fetch(self._state) if self.begun else self._state
        self._stage, self._at, self._program = self._stage + 1, 0, None
        stage = self.task.stages[self._stage]
        self._data = self._data_of(self._stage)
        self._state = jax.tree.map(np.asarray, stage.init(self._key(self._stage), self._data, previous))
        self._pace = Pace()

    def _notice(self) -> None:
        """Takes copies of what is due now; `_flush`, called when the next steps are under way, writes it."""
        config, step, program = self.task.config, self.step, self._program
        stage, at = self._stage, self._at
        if step % config.log_every == 0 or self._stage_done or self.ended:
            self._log.due(step, program.snapshot(self._totals))
            self._totals = program.zero_totals()
        early = step == _EARLY < config.sample_every
        draws = step % config.sample_every == 0 or step == self.num_steps or early
        saves = step % config.checkpoint_every == 0 and step < self.num_steps
        if not (draws or saves):
            return
        copy = program.snapshot(self._state)
        if saves:
            self._due.append(lambda: self._save(step, stage, at, jax.device_get(copy)))
        if draws:
            self._draw(copy)

    def _draw(self, state: Any) -> None:
        """Begins to draw the grid of the present step from a copy of its state."""
        if self._output is None:
            return
        step = self.step
        samples = self.drawer.start(self.task.stages[self._stage].weights(state), self._noise)
        self._due.append(lambda: self._output.write_grid(step, samples(), self.task.source))

    def _flush(self) -> None:
        """Writes what is due, once it has arrived.

        Raises:
          DivergedError: a loss, or a weight that was to be saved, is not finite.
        """
        self.shown = self._log.flush() or self.shown
        due, self._due = self._due, []
        for write in due:
            write()

    def _save(self, total: int, stage: int, at: int, state: Any) -> None:
        # Every process of a job looks, so that all of them end alike.
        require_finite(state, total)
        if self._output is not None:
            self._output.checkpoints.save(total, stage, at, state, self.task.stages[stage].weights)

    @contextlib.contextmanager
    def _noting_divergence(self):
        try:
            yield
        except DivergedError as error:
            self.error = error
