"""What a run finds in its workdir, or puts there, before its first step."""

import dataclasses
from pathlib import Path

from siv_jax import config as config_lib
from siv_jax.data import Source, stored
from siv_jax.errors import UserError
from siv_jax.models.interface import Plan
from siv_jax.workdir import kept_input, layout


def begin(
    workdir: Path, config: config_lib.Config, plan: Plan, num_steps: int, source: Source, digest: str
) -> layout.Record:
    """Writes into a locked workdir what a run of `config` on `source` needs; of an older run there, checks it.

    Its copy of the input is kept anew where frames are missing or damaged.

    Raises UserError: the workdir holds imported weights, a run that differs, one after more steps than `num_steps`, a
      run of another input, or one of another version.
    """
    if (workdir / layout.CONFIG).exists():
        record = layout.load_record(workdir)
        if not record.num_steps:
            raise UserError(f"{workdir} holds imported weights, which are not trained on: choose another --workdir")
        config_lib.refuse_changes(layout.load_config(workdir), config, workdir)
        done = layout.completed_steps(workdir)
        if num_steps < done:
            raise UserError(
                f"the run in {workdir} has done {done:,} steps, more than num_steps {num_steps:,}: set as many or more"
            )
        record = dataclasses.replace(record, num_steps=num_steps)
        if not kept_input.learns_from(workdir, record, source, digest):
            raise UserError(f"{workdir} holds a run trained on another input ({record.source}); use another --workdir")
        if not kept_input.is_whole(workdir, record):
            original = source if digest == record.digest else kept_input.load(workdir)
            record = dataclasses.replace(record, kept_size=stored.store(original, workdir / layout.SOURCE))
    else:
        kept_size = stored.store(source, workdir / layout.SOURCE)
        record = layout.Record(
            plan=plan,
            format=source.format,
            source=source.name,
            num_steps=num_steps,
            num_frames=source.num_frames,
            frames_found=source.frames_found,
            source_size=source.size,
            kept_size=kept_size,
            digest=digest,
            masks=source.masks.format if source.masks else None,
        )
    layout.save(workdir, config, record)
    return record
