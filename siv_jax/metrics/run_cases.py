"""Samples drawn from the checkpoints of runs: the cases of --workdir."""

import functools
from pathlib import Path

import jax
import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.notes import Notes
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.metrics import cases
from siv_jax.metrics.cases import Case, PendingCase, Size, shown
from siv_jax.sampling.drawer import sample_size
from siv_jax.workdir import kept_input, layout

# Longer side of rendered samples at most.
_RENDERED_SIDE = 1024
_ADVICE = "; --rendered measures samples of the photo's size"


def pending_cases(
    folder: Path, real: Path | None, num: int, seed: int, size: Size | None, rendered: bool = False
) -> list[PendingCase]:
    """The case of a run, or those of the runs in the subfolders of `folder`.

    Args:
      real: the training image, clip or folder of frames, for a workdir of imported weights, which holds none.
      num: samples of each run, with latents 0 to `num` of `seed`.
      size: what samples and training images are brought to; None: the samples' own.
      rendered: measures samples rendered from the photo's patches, at `size` or at the photo's size, up to 1,024 px.

    Raises UserError: no run there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist: give the --workdir of a run")
    runs = [folder] if (folder / layout.CONFIG).exists() else layout.runs_in(folder)
    if not runs:
        raise UserError(f"{folder} is neither the workdir of a run nor a folder of workdirs")
    if real and len(runs) > 1:
        raise UserError(f"{folder} holds several runs: --real goes with the --workdir of one")
    for run in runs:
        record = layout.load_record(run)
        cases.check_size(run.name, size or _own_size(record, rendered), _ADVICE)
        if real is None:
            kept_input.load(run)  # raises where there is none
    return [functools.partial(_load, run, real, num, seed, size, rendered) for run in runs]


def _own_size(record: layout.Record, rendered: bool) -> Size:
    if rendered:
        return limited(record.source_size, _RENDERED_SIDE)
    return sample_size(record.plan, record.source_size)


def _load(run: Path, real: Path | None, num: int, seed: int, size: Size | None, rendered: bool) -> Case:
    from siv_jax.sampling.trained_model import TrainedModel

    name, notes = run.resolve().name, Notes()
    trained = TrainedModel(run)
    if 0 < trained.step < trained.record.num_steps:  # imported weights are step 0
        notes.add(name, f"measured after {trained.step} of {trained.record.num_steps} steps, before training ended")
    size = size or _own_size(trained.record, rendered)
    if rendered:
        made = list(trained.rendered(num, seed, f"{size[1]}x{size[0]}"))
        samples = jax.tree.map(lambda *leaves: np.concatenate(leaves), *made)
    else:
        samples = trained.draw(trained.latents(num, seed))
    drawn = cases.as_rgb(samples.images)
    if trained.record.plan.channels != 3 or trained.record.format.kind != "picture":
        notes.add(name, "measured as 8-bit RGB, which this model's samples are not")
    if drawn.shape[1:3] != size:
        notes.add(name, f"samples are brought from {shown(drawn.shape[1:3])} to {shown(size)}")
    training = open_source(DataConfig(path=str(real))) if real else kept_input.load(run)
    names = tuple(f"sample_{i:05d}" for i in range(num))
    source = {"workdir": str(run), "step": trained.step, "seed": seed, "real": str(real or trained.record.source)}
    source |= {"rendered": "yes"} if rendered else {}
    source |= {"candidates": trained.config.candidates} if trained.config.candidates > 1 else {}
    return cases.make_case(name, cases.brought_to(drawn, size), names, training, source, notes, samples.masks)
