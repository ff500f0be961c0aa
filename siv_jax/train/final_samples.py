"""The samples that training ends with: as the network draws them, and rendered from the photo's own patches."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax import config as config_lib
from siv_jax.config import Config
from siv_jax.data import Source, stored
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.nn import spread
from siv_jax.sampling import rendering, sample_files, variety
from siv_jax.train.run import Run
from siv_jax.train.stop_signal import StopSignal
from siv_jax.workdir import layout

# Samples that differ less than this share of how much views of the input do have collapsed: those of runs that kept
# their variety were at .55 and more, those that lost it at .36 to .42.
_COLLAPSED = 0.45


def write(run: Run, folder: Path, stop: StopSignal, say: Callable[[str], None]) -> None:
    """Draws the final samples of a run that has ended into its workdir: as they are, and rendered until `stop`."""
    config, source, weights = run.task.config, run.task.source, run.weights()
    # Fewer steps after a time limit; the time tells the same command that there is nothing left to do.
    record = dataclasses.replace(layout.load_record(folder), num_steps=run.num_steps, seconds=run.seconds)
    layout.save(folder, config, record)
    # Chosen from what the workdir keeps, as later commands choose.
    preview = variety.previewer(run.drawer, stored.reduced(source)) if config.candidates > 1 else None
    noise = variety.latents(run.drawer, weights, config.candidates, config.seed, 0, config.num_samples, preview)
    samples = run.drawer(weights, noise)
    masks = source.masks.format if source.masks else None
    write_samples = functools.partial(
        sample_files.write_samples, count=len(noise), pixel_format=source.format, mask_format=masks, own=True
    )
    sheet = write_samples(folder / layout.SAMPLES, [samples])
    say(f"samples   {sheet}: as the network draws them, {run.drawer.size[1]}x{run.drawer.size[0]}")
    _warn_of_collapse(samples.images, source, config, say)
    if not config.rendered_size:
        return
    size = limited(source.size, config.rendered_size)
    try:
        wanted = rendering.Rendering(size, masks=source.masks.labels if source.masks else None)
        made = rendering.of_model(run.drawer, weights, [noise], source, wanted, config.candidates > 1)
        made = itertools.takewhile(lambda _: stop.name is None, made)
        sheet = write_samples(folder / layout.RENDERED, made)
        if stop.name:
            say(f"stopped by {stop.name} while rendering; the model is saved. The same command renders all samples")
        else:
            say(f"rendered  {sheet}: from the photo's own patches, {size[1]}x{size[0]}")
    except UserError as error:  # a picture too small to have patches
        say(f"note      not rendered: {error}")


def are_there(folder: Path) -> bool:
    """Whether a workdir holds all of them: a stop may have come before the last was rendered."""
    raw, rendered = (len([*(folder / name).glob("sample_*")]) for name in (layout.SAMPLES, layout.RENDERED))
    # Of a picture too small to be rendered there is no folder.
    all_rendered = rendered == raw or not (folder / layout.RENDERED).exists()
    return all_rendered and (folder / layout.SAMPLES / sample_files.SHEET).exists()


def _warn_of_collapse(images: np.ndarray, source: Source, config: Config, say: Callable[[str], None]) -> None:
    """Says so where the samples hardly differ."""
    if len(images) < 2:
        return
    share = float(spread.pairwise_rms(images)) / max(spread.of_views(source.resized(*images.shape[1:3])), 1e-6)
    if share < _COLLAPSED:
        setting = "loss.diversity_weight"
        higher = f" or a higher {setting}" if setting in config_lib.flatten(config) else ""
        say(
            f"note      the samples are nearly alike: they differ {share:.0%} as much as views of the input do. Train "
            f"with another seed{higher} in another --workdir"
        )
