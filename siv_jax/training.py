"""One run from its config to its samples: reads, plans, resumes or begins, trains, and draws."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import jax

from siv_jax import parallel, pictures, sampling, workdir
from siv_jax.checkpoint import Checkpoints
from siv_jax.config import Config
from siv_jax.data import Frames, load_frames
from siv_jax.errors import DivergedError, UserError
from siv_jax.flat import Layout
from siv_jax.geometry import SMALLEST_SIDE, Plan, scaled_size
from siv_jax.loop import Loop, StopSignal
from siv_jax.sampler import Sampler, latents
from siv_jax.state import discriminator_shapes, generator_shapes, init_state
from siv_jax.writer import Writer


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
    num_devices = parallel.use_devices(devices, config.batch_size)
    frames, plan = load_frames(config.data, config.model)
    for line in describe(frames, plan, config, num_devices):
        say(line)
    if dry_run:
        say(json.dumps(dataclasses.asdict(config), indent=2))
        return None
    model = workdir.Model(plan, frames.format, frames.source, workdir.digest(frames.pixels))
    lock = workdir.open_for_training(folder, config, model, frames.pixels)
    try:
        return _train_in(folder, config, plan, frames, num_devices, say, watch)
    finally:
        lock.release()


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


def _train_in(
    folder: Path, config: Config, plan: Plan, frames: Frames, num_devices: int, say: Callable, watch: Callable | None
) -> str | None:
    writes = parallel.is_first_process()
    begun = time.monotonic()
    sampler = Sampler(plan, config.model)
    trainer = parallel.Trainer(plan, config, num_devices)
    state = init_state(plan, config)
    with Checkpoints(folder / workdir.CHECKPOINTS, config.keep_checkpoints) as checkpoints:
        if checkpoints.latest_step() is not None:
            state = checkpoints.restore(like=state)
            say(f"resuming  {folder} after step {int(state.step)}")
        if int(state.step) < config.num_steps:
            say("compiling (under a minute on first use of a shape, seconds after that)")
            trainer.compile(trainer.put(state), trainer.put(frames.pixels))
            say(
                f"training  in {folder}, {time.monotonic() - begun:.0f} s after starting; Ctrl-C saves and stops"
            )
        with StopSignal().listening() as stop:
            try:
                if writes:
                    with Writer(folder, int(state.step), watch) as writer:
                        state = Loop(config, trainer, checkpoints, writer, sampler).run(
                            state, frames.pixels, stop
                        )
                else:
                    state = Loop(config, trainer, checkpoints, None, sampler).run(state, frames.pixels, stop)
            except DivergedError as error:
                checkpoints.wait()
                raise DivergedError(_what_is_left(error, checkpoints.latest_step(), folder)) from None
    if stop.name is not None and int(state.step) < config.num_steps:
        say(f"stopped by {stop.name} after step {int(state.step)}; saved. The same command goes on from here")
        return stop.name
    if writes:
        z = latents(config.seed, 0, config.num_samples, config.model.noise_dim)
        images = sampler(state.ema, state.vectors_g, z)
        sheet = sampling.write_samples(folder / workdir.SAMPLES, images, frames.format, "png")
        say(f"done      {config.num_steps} steps; samples: {sheet}")
        say(f"more      python -m siv_jax.sample --workdir {folder} --num 100 --out DIR")
    return None


def _what_is_left(error: DivergedError, last: int | None, folder: Path) -> str:
    kept = (
        f"the checkpoint after step {last} in {folder} is good"
        if last is not None
        else "no checkpoint was made"
    )
    return f"training diverged: {error}; {kept}; begin again with lower optim.lr_g and optim.lr_d in another --workdir"
