"""Which frames of a source are used."""

from siv_jax.config import DataConfig
from siv_jax.data.notes import Notes
from siv_jax.errors import UserError


def choose(count: int, data: DataConfig) -> list[int]:
    """Ascending numbers of the frames used out of `count`: every `frame_stride`-th, at most `max_frames`.

    Where every n-th frame is still too many, the choice is spread evenly from the first to the last of them.
    """
    strided = range(0, count, data.frame_stride)
    return [strided[number] for number in evenly(len(strided), data.max_frames)]


def evenly(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, spread evenly from the first to the last."""
    number = min(count, most)
    return [round(i * (count - 1) / max(1, number - 1)) for i in range(number)]


def select(name: str, count: int, data: DataConfig, notes: Notes, timed: bool = False) -> list[int]:
    """The numbers of `choose`, with a note where not all frames are used.

    Args:
      timed: whether the frames have times, which `data.start` and `data.end` have been applied to.

    Raises UserError: one of these is set and the frames have no times.
    """
    if not timed and (data.start or data.end):
        raise UserError(f"{name} is no clip and has no times: leave data.start and data.end at 0")
    chosen = choose(count, data)
    reasons = [f"data.frame_stride is {data.frame_stride}"] if data.frame_stride > 1 else []
    if len(range(0, count, data.frame_stride)) > len(chosen):
        reasons.append(f"spread evenly, data.max_frames is {data.max_frames}")
    if len(chosen) < count:
        notes.add(name, f"{len(chosen)} of {count} frames are used ({', '.join(reasons)})")
    return chosen
