"""A source that has been looked at but not yet decoded, and the reel of separately stored stills."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE, PixelFormat
from siv_jax.data.resize import resize
from siv_jax.errors import UserError

MAX_CHANNELS = 8


@dataclasses.dataclass(frozen=True)
class Reel:
    """The chosen frames of one source.

    `fill(out, notes)` decodes them in order, resizes each to out's size and writes it into `out`
    [frames_used,H,W,channels]: uint8 where `format.dtype` is uint8, else float32 in [-1,1]. It holds one
    source frame at a time.
    """

    source: str
    frames_found: int
    frames_used: int
    size: tuple[int, int]
    channels: int
    format: PixelFormat
    fill: Callable[[np.ndarray, Notes], None]
    notes: Notes = dataclasses.field(default_factory=Notes)

    name = property(lambda self: self.source)
    num_frames = property(lambda self: self.frames_used)

    def resized(self, height, width):
        dtype = np.uint8 if self.format.dtype == "uint8" else np.float32
        pixels = np.empty((self.frames_used, height, width, self.channels), dtype)
        self.fill(pixels, self.notes)
        return pixels

    def digest(self, text=""):
        import hashlib
        return hashlib.sha256(text.encode() + self.resized(*self.size).tobytes()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Still:
    """One frame stored by itself. `load(notes)` gives [H,W,channels] of `dtype`."""

    name: str
    kind: str
    dtype: str
    size: tuple[int, int]
    channels: int
    load: Callable[[Notes], np.ndarray]


def reel_of_stills(source: str, frames_found: int, stills: list[Still], notes: Notes) -> Reel:
    """The reel of `stills`, which must agree in kind, type and channels.

    Stills of different sizes are resized to a square of the mean side, with a note (as run).

    Raises:
      UserError: stills that do not go together, or samples that cannot be trained on.
    """
    first = stills[0]
    for still in stills:
        for what in ("kind", "dtype", "channels"):
            ours, theirs = getattr(first, what), getattr(still, what)
            if ours != theirs:
                raise UserError(
                    f"{source} mixes frames that do not go together: {what} {ours} in {first.name}, "
                    f"{theirs} in {still.name}"
                )
    size = first.size
    if any(still.size != size for still in stills):
        side = round(sum(sum(still.size) for still in stills) / (2 * len(stills)))
        notes.add(source, f"frames differ in size, all become squares of the mean side, {side}x{side}")
        size = (side, side)
    pixel_format = PICTURE if first.kind == "picture" else _array_format(stills, notes)

    def fill(out: np.ndarray, notes: Notes) -> None:
        for row, still in zip(out, stills, strict=True):
            frame = still.load(notes)
            if frame.dtype != np.uint8:
                frame = pixel_format.from_source(frame)
            row[...] = resize(frame, *row.shape[:2])

    return Reel(source, frames_found, len(stills), size, first.channels, pixel_format, fill)


def _array_format(stills: list[Still], notes: Notes) -> PixelFormat:
    kind, dtype = stills[0].kind, stills[0].dtype
    if dtype == "uint8":
        return PixelFormat(kind, dtype, 0.0, 255.0)
    low, high = math.inf, -math.inf
    for still in stills:
        frame = still.load(notes)
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise UserError(f"{still.name} holds NaN or infinite values: replace them first")
        low, high = min(low, float(frame.min())), max(high, float(frame.max()))
    if low == high:
        raise UserError(f"{stills[0].name} holds the single value {low:g} everywhere: nothing to learn")
    # Float64 steps between integers that are too large would not survive the way to [-1,1] and back.
    if not math.isfinite(high - low) or (np.dtype(dtype).kind in "iu" and max(-low, high) > 2**53):
        raise UserError(f"{stills[0].name} holds values from {low:g} to {high:g}, too far apart: rescale it")
    return PixelFormat(kind, dtype, low, high)


Source = Reel
