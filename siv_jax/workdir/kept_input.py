"""The copy of its input that a workdir keeps in source/."""

from pathlib import Path

from siv_jax.data import Source, open_source, stored
from siv_jax.data.decoding import one_line
from siv_jax.errors import UserError
from siv_jax.workdir import layout


def load(workdir: Path) -> Source:
    """The picture or the frames that the run learns from, as the workdir keeps them.

    Where it does not hold them all, they are read as they were for training. Raises UserError: that is not possible
    either, as for imported weights, or the input is another now; `frames` raises it for what is damaged.
    """
    record = layout.load_record(workdir)
    if not record.num_frames:
        raise UserError(f"{workdir} holds imported weights, which have no training picture")
    try:
        source = _kept(workdir, record)
        if record.num_frames == 1:  # a picture is read once more, to see that it is whole; a clip's frames are many
            next(source.frames())
        return source
    except UserError as problem:
        return _original(workdir, record, problem)


def learns_from(workdir: Path, record: layout.Record, source: Source, digest: str) -> bool:
    """Whether the run in a workdir learns from `source`, with this digest.

    That may be the workdir's own copy of the input, when the original is gone, or the original as another version of
    its decoder reads it. Raises UserError: one of them is damaged.
    """
    if digest == record.digest:
        return True
    try:
        kept = load(workdir)
    except UserError:
        raise UserError(
            f"{workdir} holds no whole copy of its input, and {source.name} reads otherwise than at first: use another "
            "--workdir"
        ) from None
    return digest == kept.digest() or stored.nearly_equal(source, kept)


def is_whole(workdir: Path, record: layout.Record) -> bool:
    """Whether all frames in source/ can be read."""
    try:
        for _ in _kept(workdir, record).frames():
            pass
    except UserError:
        return False
    return True


def _kept(workdir: Path, record: layout.Record) -> Source:
    """What lies in source/. Raises UserError: frames are missing, or damaged as far as that is seen."""
    # Imported weights of a model of masks come without the photo's own.
    masks = record.masks if (workdir / layout.SOURCE / stored.MASKS).is_dir() or record.num_steps else None
    return stored.stored(workdir / layout.SOURCE, record.source, record.frames_found, record.format, masks)


def _original(workdir: Path, record: layout.Record, problem: UserError) -> Source:
    """The input where it was when it was trained on, as source/, which has a `problem`, would hold it.

    Raises UserError: it cannot be read, or is another now.
    """
    data = layout.load_config(workdir).data
    try:
        source = open_source(data)
        if source.digest() != record.digest:
            raise UserError(f"{one_line(data.path)} has other pixels than the run learnt from")
    except UserError as error:
        remedy = f"run siv_jax.main with {record.source} and --workdir {workdir}, which keeps it anew"
        if not record.num_steps:
            remedy = "copy that folder again, or import the weights anew with --image"
        raise UserError(f"{problem}, and the original is no help ({error}): {remedy}") from None
    return stored.reduced(source)
