"""The frames that a model learns from, opened but not yet decoded."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from siv_jax.data.masks import Masks
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE, PixelFormat
from siv_jax.data.resize import resize
from siv_jax.errors import UserError

MAX_CHANNELS = 8


@dataclasses.dataclass(frozen=True)
class Source:
    """The chosen frames of a picture, a clip, a folder or an array.

    name: what people see.
    frames_found: frames between data.start and data.end, before stride and max_frames.
    num_frames: frames that `frames` gives; a clip has more than one.
    size: (height, width) as shown, at full size.
    frames: decodes the chosen frames in order, one in memory at a time: each [H,W,C] at full size, uint8 where
      format.dtype is uint8, else float32 in [-1,1]. Raises UserError where the file is damaged.
    notes: what people should know about choices that the reading made; decoding may add to them.
    files: of the frames, where each is a file of its own.
    masks: of the frames, where data.mask names some.
    """

    name: str
    frames_found: int
    num_frames: int
    size: tuple[int, int]
    channels: int
    format: PixelFormat
    frames: Callable[[], Iterator[np.ndarray]]
    notes: Notes = dataclasses.field(default_factory=Notes, compare=False)
    files: tuple[Path, ...] = dataclasses.field(default=(), compare=False)
    masks: Masks | None = None

    def resized(self, height: int, width: int) -> np.ndarray:
        """All frames [N,height,width,C], each resized straight from full size; uint8 or float32 as in `frames`."""
        dtype = np.uint8 if self.format.dtype == "uint8" else np.float32
        pixels = np.empty((self.num_frames, height, width, self.channels), dtype)
        for row, frame in zip(pixels, self.frames(), strict=True):
            row[...] = resize(frame, height, width)
        if (pixels == pixels[0, 0, 0]).all():
            self.notes.add(self.name, "every pixel is the same: there is nothing to learn")
        return pixels

    def digest(self) -> str:
        """Hexadecimal SHA-256 of all pixels and masks at full size, whatever files they come from."""
        pixel_format = (self.format.dtype, self.format.low, self.format.high)
        sha = hashlib.sha256(repr((self.num_frames, *self.size, self.channels, *pixel_format)).encode())
        for frame in self.frames():
            sha.update(np.ascontiguousarray(frame))
        if self.masks is not None:
            kept = self.masks.format
            sha.update(repr((kept.is_object, kept.num_classes, kept.ignore)).encode())
            sha.update(self.masks.values)
        return sha.hexdigest()


@dataclasses.dataclass(frozen=True)
class Still:
    """One frame stored by itself, or one of an array. `load(notes)` gives [H,W,channels] of `dtype`.

    photometric, extrasamples: of a TIFF, see PixelFormat.
    """

    name: str
    kind: str
    dtype: str
    size: tuple[int, int]
    channels: int
    load: Callable[[Notes], np.ndarray]
    photometric: str = ""
    extrasamples: str = ""


def source_of_stills(name: str, frames_found: int, stills: list[Still], notes: Notes) -> Source:
    """The source of `stills`, which must agree in kind, type, channels and their meaning.

    Stills of different sizes are resized to a square of the mean side, with a note (as run).

    Raises UserError: stills that do not go together, or samples that cannot be trained on.
    """
    first = stills[0]
    for still in stills:
        for what in ("kind", "dtype", "channels", "photometric", "extrasamples"):
            ours, theirs = getattr(first, what), getattr(still, what)
            if ours != theirs:
                raise UserError(
                    f"{name} mixes frames that do not go together: {what} {ours} in {first.name}, "
                    f"{theirs} in {still.name}"
                )
    size = first.size
    if any(still.size != size for still in stills):
        side = round(sum(sum(still.size) for still in stills) / (2 * len(stills)))
        notes.add(name, f"frames differ in size, all become squares of the mean side, {side}x{side}")
        size = (side, side)
    pixel_format = PICTURE if first.kind == "picture" else _array_format(stills, notes)

    def frames() -> Iterator[np.ndarray]:
        for still in stills:
            frame = still.load(notes)
            yield resize(frame if frame.dtype == np.uint8 else pixel_format.from_source(frame), *size)

    return Source(name, frames_found, len(stills), size, first.channels, pixel_format, frames, notes)


def _array_format(stills: list[Still], notes: Notes) -> PixelFormat:
    first, name, dtype = stills[0], stills[0].name, stills[0].dtype
    if dtype == "uint8":
        return PixelFormat(first.kind, dtype, 0.0, 255.0, first.photometric, first.extrasamples)
    extremes = []  # of each frame the lowest, the highest and the next to both
    for still in stills:
        frame = still.load(notes)
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise UserError(f"{still.name} holds NaN or infinite values: replace them first")
        low, high = frame.min(), frame.max()
        inner = frame[(frame > low) & (frame < high)]
        extremes += [float(value) for value in (low, high, *((inner.min(), inner.max()) if inner.size else ()))]
    low, high = min(extremes), max(extremes)
    # Float64 steps between integers that are too large would not survive the way to [-1,1] and back.
    if not math.isfinite(high - low) or (np.dtype(dtype).kind in "iu" and max(-low, high) > 2**53):
        raise UserError(f"{name} holds values from {low:g} to {high:g}, too far apart: rescale it")
    inner = [value for value in extremes if low < value < high]
    for mark, near, far in ((low, min(inner, default=low), high), (high, max(inner, default=high), low)):
        if min(inner, default=low) < max(inner, default=low) and abs(near - mark) > 4 * abs(far - near):
            notes.add(
                name,
                f"all values but {mark:g} lie between {min(near, far):g} and {max(near, far):g}, a small part of the "
                f"range that is learned: if {mark:g} stands for missing samples, replace it first",
            )
    return PixelFormat(first.kind, dtype, low, high, first.photometric, first.extrasamples)
