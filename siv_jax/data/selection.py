"""Which frames of a clip are used."""

from siv_jax.config import DataConfig
from siv_jax.data.notes import Notes
from siv_jax.errors import UserError


def choose(count: int, data: DataConfig) -> list[int]:
    """Ascending numbers of the frames used out of `count`: every `frame_stride`-th, at most `max_frames`.

    Where every n-th frame is still too many, the choice is spread evenly from the first to the last of them.
    """
    strided = range(0, count, data.frame_stride)
    if len(strided) <= data.max_frames:
        return list(strided)
    if data.max_frames == 1:
        return [0]
    last = len(strided) - 1
    return [strided[round(i * last / (data.max_frames - 1))] for i in range(data.max_frames)]


def note_choice(name: str, count: int, used: int, data: DataConfig, notes: Notes) -> None:
    """Says how many frames are used, where not all of them are."""
    if used == count:
        return
    reasons = [f"data.frame_stride is {data.frame_stride}"] if data.frame_stride > 1 else []
    if len(range(0, count, data.frame_stride)) > used:
        reasons.append(f"spread evenly, data.max_frames is {data.max_frames}")
    notes.add(name, f"{used} of {count} frames are used ({', '.join(reasons)})")


def refuse_times(name: str, data: DataConfig) -> None:
    """Refuses `data.start` and `data.end` for a source whose frames have no times.

    Raises:
      UserError: one of them is set.
    """
    if data.start or data.end:
        raise UserError(f"{name} is no clip and has no times: leave data.start and data.end at 0")
