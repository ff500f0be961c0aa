"""Arrays: .npy files through numpy and TIFF through tifffile, with their own type and 1 to 8 channels."""

import contextlib
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from siv_jax.data.decoding import check_pixels, decoding, one_line
from siv_jax.data.notes import Notes
from siv_jax.data.source import MAX_CHANNELS, Still
from siv_jax.errors import UserError

# A larger TIFF is decoded into a temporary file instead of memory, one above the limit is refused.
_TIFF_IN_MEMORY = 2**26
_TIFF_LIMIT = 2**33
_PALETTE, _WHITE_IS_ZERO, _RAW_PHOTOMETRICS = 3, 0, (32803, 34892)


@dataclasses.dataclass(frozen=True)
class ArrayFile:
    """Frames in one array file: `shape` is (N, H, W, C); `read(notes)` gives all of them with that shape."""

    name: str
    kind: str
    dtype: str
    shape: tuple[int, int, int, int]
    read: Callable[[Notes], np.ndarray]

    def stills(self, numbers: list[int]) -> list[Still]:
        """The frames of these numbers."""
        shared = functools.cache(lambda: self.read(Notes())) if len(numbers) > 1 else None

        def load(number: int, notes: Notes) -> np.ndarray:
            frames = shared() if shared else self.read(notes)
            return np.ascontiguousarray(frames[number], dtype=np.dtype(self.dtype))

        return [
            Still(
                self.name,
                self.kind,
                self.dtype,
                self.shape[1:3],
                self.shape[3],
                functools.partial(load, number),
            )
            for number in numbers
        ]


def array_file(name: str, kind: str, array: np.ndarray) -> ArrayFile:
    """Frames in an array that is at hand: [H,W], [H,W,C] or [N,H,W,C].

    Raises:
      UserError: an array of another shape, or not of plain numbers.
    """
    shape = _shape_of(array.shape, name)
    return ArrayFile(name, kind, _dtype_of(array.dtype, name), shape, lambda notes: array.reshape(shape))


def open_npy(path: Path, name: str, notes: Notes) -> ArrayFile:
    """An .npy file, memory-mapped: [H,W], [H,W,C] or [N,H,W,C].

    Raises:
      UserError: damaged, of another shape, or not of plain numbers. Pickled objects are never loaded.
    """
    with decoding(name, notes):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array_file(name, "npy", array)


def open_tiff(path: Path, name: str, notes: Notes) -> ArrayFile:
    """The first series of a TIFF: its pages are frames, its samples per pixel channels.

    Palettes are looked up, and where 0 means white the samples are inverted.

    Raises:
      UserError: damaged, a camera's raw file, of a shape that is no picture, or not of plain numbers.
    """
    try:
        import tifffile
    except ImportError:
        raise UserError(f"{name}: reading TIFF needs tifffile: pip install tifffile") from None
    with decoding(name, notes), _logged(name, notes), tifffile.TiffFile(path) as tiff:
        if not tiff.series:
            raise UserError(f"{name} holds no picture")
        series = tiff.series[0]
        photometric, dtype = int(series.keyframe.photometric), series.dtype
        if len(tiff.series) > 1:
            notes.add(name, f"it holds {len(tiff.series)} series of pictures, only the first is used")
        axes = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True) if length > 1]
    if photometric in _RAW_PHOTOMETRICS:
        raise UserError(f"{name} is a camera's raw file: develop it to PNG or JPEG first")
    dtype = "uint8" if photometric == _PALETTE else _dtype_of(dtype, name)
    shape = _tiff_shape(axes, 3 if photometric == _PALETTE else 1, name)
    if dtype == "bool" and shape[3] > 1:
        # tifffile mixes up the bits of several interleaved channels.
        raise UserError(f"{name} has {shape[3]} channels of 1 bit: save it with 8 bits")
    return ArrayFile(name, "tiff", dtype, shape, functools.partial(_read_tiff, path, name, shape))


def _read_tiff(path: Path, name: str, shape: tuple[int, ...], notes: Notes) -> np.ndarray:
    import tifffile

    with decoding(name, notes), _logged(name, notes), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if series.nbytes > _TIFF_LIMIT:
            raise UserError(f"{name} holds {series.nbytes / 2**30:.1f} GiB; at most 8 are read: split it first")
        array = series.asarray(out="memmap" if series.nbytes > _TIFF_IN_MEMORY else None)
        if int(series.keyframe.photometric) == _PALETTE:
            return (series.keyframe.colormap >> 8).astype(np.uint8).T[array].reshape(shape)
        if int(series.keyframe.photometric) == _WHITE_IS_ZERO and array.dtype.kind in "bu":
            array = ~array
        channel_axes = [position for position, axis in enumerate(series.axes) if axis in "SC"]
        return np.moveaxis(array, channel_axes, range(-len(channel_axes), 0)).reshape(shape)


def _tiff_shape(axes: list[tuple[str, int]], samples: int, name: str) -> tuple[int, int, int, int]:
    channels = samples * math.prod(length for axis, length in axes if axis in "SC")
    rest = [length for axis, length in axes if axis not in "SC"]
    if channels == 1 and len(rest) > 2 and rest[-1] <= MAX_CHANNELS:
        # Channels-last arrays that were written without saying so: no picture is so narrow.
        channels = rest.pop()
    if len(rest) < 2:
        raise UserError(f"{name} holds no picture: its axes are {', '.join(f'{axis} {n}' for axis, n in axes)}")
    return _checked((math.prod(rest[:-2]), rest[-2], rest[-1], channels), name)


def _shape_of(shape: tuple[int, ...], name: str) -> tuple[int, int, int, int]:
    if len(shape) == 2:
        return _checked((1, *shape, 1), name)
    if len(shape) in (3, 4) and shape[-1] <= MAX_CHANNELS:
        return _checked((1, *shape)[-4:], name)
    raise UserError(
        f"{name} holds an array of shape {shape}; it must be [H,W], [H,W,C] or [N,H,W,C] "
        f"with 1 to {MAX_CHANNELS} channels"
    )


def _checked(shape: tuple[int, int, int, int], name: str) -> tuple[int, int, int, int]:
    if not 1 <= shape[3] <= MAX_CHANNELS:
        raise UserError(f"{name} has {shape[3]} channels; 1 to {MAX_CHANNELS} can be trained")
    if shape[0] < 1:
        raise UserError(f"{name} holds no frames")
    check_pixels(name, *shape[1:3])
    return shape


def _dtype_of(dtype: np.dtype | None, name: str) -> str:
    if dtype is None or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UserError(f"{name} holds samples of type {dtype}; whole and floating-point numbers can be trained")
    return dtype.name


@contextlib.contextmanager
def _logged(name: str, notes: Notes) -> Iterator[None]:
    """Turns what tifffile logs into notes."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.add(name, one_line(record.getMessage()))

    logger, handler = logging.getLogger("tifffile"), Handler(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
