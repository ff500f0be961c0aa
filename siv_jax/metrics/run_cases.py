"""Samples drawn from the checkpoints of runs: the cases of --workdir."""

import functools
from pathlib import Path

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.notes import Notes
from siv_jax.errors import UserError
from siv_jax.metrics import cases
from siv_jax.metrics.cases import Case, PendingCase, Size, shown
from siv_jax.sampling.drawer import sample_size
from siv_jax.workdir import layout


def pending_cases(folder: Path, real: Path | None, num: int, seed: int, size: Size | None) -> list[PendingCase]:
    """The case of a run, or those of the runs in the subfolders of `folder`.

    Args:
      real: the training image, clip or folder of frames, for a workdir of imported weights, which holds none.
      num: samples of each run, with latents 0 to `num` of `seed`.
      size: what samples and training images are brought to; None: the samples' own.

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
        cases.check_size(run.name, size or sample_size(record.plan, record.source_size))
        if real is None:
            layout.load_source(run)  # raises where there is none
    return [functools.partial(_load, run, real, num, seed, size) for run in runs]


def _load(run: Path, real: Path | None, num: int, seed: int, size: Size | None) -> Case:
    from siv_jax.sampling.trained_model import TrainedModel

    name, notes = run.resolve().name, Notes()
    trained = TrainedModel(run)
    if 0 < trained.step < trained.record.num_steps:  # imported weights are step 0
        notes.add(name, f"measured after {trained.step} of {trained.record.num_steps} steps, before training ended")
    samples = trained.draw(trained.latents(num, seed))
    drawn = cases.as_rgb(samples.images)
    size = size or drawn.shape[1:3]
    if trained.record.plan.channels != 3 or trained.record.format.kind != "picture":
        notes.add(name, "measured as 8-bit RGB, which this model's samples are not")
    if drawn.shape[1:3] != size:
        notes.add(name, f"samples are brought from {shown(drawn.shape[1:3])} to {shown(size)}")
    training = open_source(DataConfig(path=str(real))) if real else layout.load_source(run)
    names = tuple(f"sample_{i:05d}" for i in range(num))
    source = {"workdir": str(run), "step": trained.step, "seed": seed, "real": str(real or trained.record.source)}
    return cases.make_case(name, cases.brought_to(drawn, size), names, training, source, notes, samples.masks)
