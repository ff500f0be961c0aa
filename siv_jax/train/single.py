"""One run from its config to its samples: reads, plans, resumes or begins, trains, and draws."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from tqdm import tqdm

from siv_jax import config as config_lib
from siv_jax.config import Config
from siv_jax.data import Frames, load_frames
from siv_jax.errors import DivergedError, UserError
from siv_jax.models.siv_gan import memory
from siv_jax.models.siv_gan.plan import SMALLEST_SIDE, Plan, make_plan, scaled_size
from siv_jax.models.siv_gan.state import discriminator_shapes, generator_shapes, init_state
from siv_jax.nn.flat import Layout
from siv_jax.sampling import sample_files as sampling
from siv_jax.sampling.trained_model import Sampler, latents
from siv_jax.train import devices as parallel
from siv_jax.train import processes as hosts
from siv_jax.train.loop import Loop, StopSignal
from siv_jax.train.profile import recorded
from siv_jax.train.run import Run
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.checkpoint import Checkpoints
from siv_jax.workdir.logs import Writer


def default_folder(config: Config) -> Path:
    """Workdir of a run that was given none: runs/NAME, after the input.

    Raises:
      UserError: there is no input.
    """
    if not config.data.path:
        raise UserError("no input given: add --config.data.path with a picture, a clip or a folder of frames")
    return workdir.default_workdir(config.data.path)


def train(
    config: Config,
    folder: Path,
    devices: int,
    dry_run: bool,
    say: Callable[[str], None],
    watch: Callable[[int], None] | None = None,
) -> str | None:
    """Trains, or goes on training, in `folder` until config.num_steps, and writes samples.

    Args:
      config: of the run.
      folder: its workdir.
      devices: how many to use; 0: all.
      dry_run: says what would be trained, touches nothing and returns.
      say: takes each line that the user is told.
      watch: called with the number of completed steps after each sample grid is written.

    Returns:
      None, or the name of the signal that stopped the run after its state was saved.

    Raises:
      UserError: input, settings or a workdir that cannot be used; nothing is changed.
      DivergedError: see Loop.run.
    """
    if config.fleet.enabled:
        raise UserError("a fleet is trained by python -m siv_jax.main; for one model set fleet.enabled to False")
    num_devices = parallel.use_devices(devices)
    parallel.require_equal_shares(config, num_devices)
    with hosts.together():
        frames, plan = load_frames(config.data, config.model)
        for line in describe(frames, plan, config, num_devices):
            say(line)
        require_memory(frames, plan, config, num_devices)
    anywhere = dataclasses.replace(config, data=dataclasses.replace(config.data, path=""))
    hosts.require_same(workdir.digest(frames.pixels, config_lib.to_json(anywhere)), "settings or pictures")
    if dry_run:
        say(json.dumps(dataclasses.asdict(config), indent=2))
        return None
    trainer, sampler = parallel.Trainer(plan, config, num_devices), Sampler(plan, config.model)
    with StopSignal().listening() as stop, open_run(folder, config, plan, frames, sampler, watch) as run:
        if run.step:
            say(f"resuming  {folder} after step {run.step}")
        if not run.finished:
            _advance(run, trainer, config, folder, stop, say)
        if run.error:
            raise DivergedError(what_is_left(run, folder))
        if not run.finished:
            say(f"stopped by {stop.name} after step {run.step}; saved. The same command goes on from here")
            return stop.name
        if hosts.is_first():
            say(f"done      {config.num_steps} steps; samples: {write_samples(run, config, folder, frames)}")
            say(f"more      python -m siv_jax.sample --workdir {folder} --num 100 --out DIR")
    return None


@contextlib.contextmanager
def open_run(
    folder: Path,
    config: Config,
    plan: Plan,
    frames: Frames,
    sampler: Sampler,
    watch: Callable[[int], None] | None = None,
    name: str = "",
) -> Iterator[Run]:
    """Claims `folder`, and takes up the run in it where it stands; new, if there is none.

    Of a job's processes the first alone uses the folder; the others get its state.

    Raises:
      UserError: a folder that cannot be used, or a damaged checkpoint.
    """
    state, checkpoints, writer = init_state(plan, config), None, None
    with contextlib.ExitStack() as stack:
        with hosts.together():
            if hosts.is_first():
                model = workdir.Model(plan, frames.format, frames.source, workdir.digest(frames.pixels))
                lock = workdir.open_for_training(folder, config, model, frames.pixels)
                stack.callback(lock.release)
                checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, config.keep_checkpoints)
                stack.enter_context(checkpoints)
                if checkpoints.latest_step() is not None:
                    state = checkpoints.restore(like=state)
                writer = stack.enter_context(Writer(folder, int(state.step), watch))
        yield Run(config, hosts.from_first(state), frames.pixels, checkpoints, writer, sampler, name)


def write_samples(run: Run, config: Config, folder: Path, frames: Frames) -> Path:
    """Draws the final samples of a run into its workdir; returns their contact sheet."""
    z = latents(config.seed, 0, config.num_samples, config.model.noise_dim)
    return sampling.write_samples(folder / workdir.SAMPLES, run.draw(run.state, z), frames.format, "png")


def what_is_left(run: Run, folder: Path) -> str:
    """Why a run diverged, which checkpoint is left of it, and what to do."""
    last = run.wait()
    kept = f"the checkpoint after step {last} in {folder} is good" if last is not None else "no checkpoint was made"
    return (
        f"training diverged: {run.error}; {kept}; begin again with lower optim.lr_g and optim.lr_d in another --workdir"
    )


def progress_bar(total: int, initial: int) -> tqdm:
    """The display of a run's steps; of a fleet's together."""
    return tqdm(
        total=total, initial=initial, unit="it", dynamic_ncols=True, disable=not hosts.is_first(), smoothing=0.1
    )


def require_memory(frames: Frames, plan: Plan, config: Config, num_devices: int) -> None:
    """Refuses a run that would not fit the devices.

    Raises:
      UserError: names the largest data.max_size that would.
    """

    def needed_at(max_size: int) -> int:
        smaller = make_plan(*frames.source_size, plan.channels, max_size, config.model)
        return memory.estimate(smaller, config, len(frames.pixels), num_devices)

    needed = memory.estimate(plan, config, len(frames.pixels), num_devices)
    memory.require(needed, memory.available(), min(config.data.max_size, max(plan.height, plan.width)), needed_at)


def describe(frames: Frames, plan: Plan, config: Config, num_devices: int) -> list[str]:
    """What the plan made of the input, for people."""
    kind = f"{len(frames.pixels)} of {frames.frames_found} frames" if frames.is_video else "1 picture"
    height, width = frames.source_size
    networks = generator_shapes(plan, config.model), discriminator_shapes(plan, config.model)
    sizes = [sum(Layout.of(shapes).sizes) for shapes in networks]
    lines = [
        f"input     {frames.source}: {kind}, {width}x{height}, {plan.channels} channels",
        f"training  at {plan.width}x{plan.height} (width x height), noise {plan.noise_width}x{plan.noise_height}, "
        f"batch {config.batch_size} on {num_devices} {jax.default_backend()} device(s)",
        f"networks  G {plan.num_blocks_g} blocks, {sizes[0]:,} parameters; D {plan.num_blocks_d} blocks "
        f"({plan.num_blocks_low_level} low-level), {sizes[1]:,} parameters",
    ]
    needed = memory.estimate(plan, config, len(frames.pixels), num_devices)
    lines.append(f"memory    about {needed / 1e6:,.0f} MB of {memory.available() / 1e6:,.0f} MB on each device")
    lines += [f"note      {note}" for note in frames.notes]
    longer = max(scaled_size(height, width, config.data.max_size))
    if longer > config.data.max_size:
        lines.append(
            f"note      scaled to a longer side of {longer}, not data.max_size {config.data.max_size}: the "
            f"shorter side needs {SMALLEST_SIDE} pixels"
        )
    if frames.is_video:
        lines.append("note      samples of a clip are still pictures, not clips")
    return lines


def _advance(
    run: Run, trainer: parallel.Trainer, config: Config, folder: Path, stop: StopSignal, say: Callable
) -> None:
    begun = time.monotonic()
    say("compiling (under a minute on first use of a shape, seconds after that)")
    trainer.compile(trainer.put(run.state), trainer.put(run.frames))
    say(f"training  in {folder}, compiled in {time.monotonic() - begun:.0f} s; Ctrl-C saves and stops")
    traces = folder / workdir.PROFILE
    with progress_bar(config.num_steps, run.step) as bar, recorded(traces, config.profile) as profile:
        for _ in Loop(trainer, bar, profile).run(iter([run]), stop):
            pass
    if config.profile and traces.exists():
        say(f"profile   {traces}: tensorboard --logdir {traces}, or its perfetto_trace.json.gz at ui.perfetto.dev")
