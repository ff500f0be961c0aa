"""Arrays: .npy files through numpy and TIFF through tifffile, with their own type and 1 to 8 channels."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax.data.decoding import check_pixels, decoding
from siv_jax.data.files import HOLDS_OBJECTS
from siv_jax.data.notes import Notes
from siv_jax.data.source import MAX_CHANNELS, Still
from siv_jax.errors import UserError

# Samples of one frame: float64 values of all of them are in memory at a time, 3.2 GB.
_MAX_SAMPLES = 400_000_000
# A larger TIFF is decoded into a temporary file instead of memory, one above the limit is refused.
_TIFF_IN_MEMORY = 2**26
_TIFF_LIMIT = 2**33
_PALETTE, _WHITE_IS_ZERO, _RAW_PHOTOMETRICS = 3, 0, (32803, 34892)
_GDAL_NODATA = 42113

Shape = tuple[int, int, int, int]  # frames, height, width, channels


def array_stills(name: str, kind: str, array: np.ndarray) -> list[Still]:
    """The frames of an array that is at hand: [H,W], [H,W,C] or [N,H,W,C].

    Raises UserError: an array of another shape, or not of plain numbers.
    """
    shape = array.shape
    if len(shape) != 2 and (len(shape) not in (3, 4) or shape[-1] > MAX_CHANNELS):
        raise UserError(
            f"{name} holds an array of shape {shape}; it must be [H,W], [H,W,C] or [N,H,W,C] "
            f"with 1 to {MAX_CHANNELS} channels"
        )
    shape = (1, *shape, 1) if len(shape) == 2 else (1, *shape)[-4:]
    return _stills(name, kind, array.dtype, shape, lambda notes: array.reshape(shape))


def npy_stills(path: Path, name: str, notes: Notes) -> list[Still]:
    """The frames of an .npy file, memory-mapped: [H,W], [H,W,C] or [N,H,W,C].

    Raises UserError: damaged, of another shape, or not of plain numbers. Pickled objects are never loaded.
    """
    with decoding(name, notes):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "objects" in str(error):
                raise UserError(f"{name} {HOLDS_OBJECTS}") from None
            raise
    return array_stills(name, "npy", array)


def tiff_stills(path: Path, name: str, notes: Notes) -> list[Still]:
    """The first series of a TIFF: its pages are frames, its samples per pixel channels.

    Palettes are looked up, and where 0 means white the samples are inverted. Samples that GDAL's tag marks as
    missing get the lowest value of the others.

    Raises UserError: damaged, a camera's raw file, of a shape that is no picture, or not of plain numbers.
    """
    with decoding(name, notes):
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            if not tiff.series:
                raise UserError(f"{name} holds no picture")
            series = tiff.series[0]
            photometric, palette, dtype = series.keyframe.photometric, series.keyframe.colormap, series.dtype
            if not isinstance(photometric, int):
                raise UserError(f"{name} is damaged: its tag of photometric interpretation is {photometric!r}")
            if len(tiff.series) > 1:
                notes.add(name, f"it holds {len(tiff.series)} series of pictures, only the first is used")
            axes = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True) if length > 1]
    if photometric == _PALETTE and palette is None:
        raise UserError(f"{name} is damaged: a picture of palette colours without a palette")
    if photometric in _RAW_PHOTOMETRICS:
        raise UserError(f"{name} is a camera's raw file: develop it to PNG or JPEG first")
    dtype = np.dtype(np.uint8) if photometric == _PALETTE else dtype
    shape = _tiff_shape(axes, 3 if photometric == _PALETTE else 1, name)
    if dtype is not None and dtype.kind == "b" and shape[3] > 1:
        # tifffile mixes up the bits of several interleaved channels.
        raise UserError(f"{name} has {shape[3]} channels of 1 bit: save it with 8 bits")
    return _stills(name, "tiff", dtype, shape, functools.partial(_read_tiff, path, name, shape))


def _read_tiff(path: Path, name: str, shape: Shape, notes: Notes) -> np.ndarray:
    import tifffile

    with decoding(name, notes), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if series.nbytes > _TIFF_LIMIT:
            raise UserError(f"{name} holds {series.nbytes / 2**30:.1f} GiB; at most 8 are read: split it first")
        array = series.asarray(out="memmap" if series.nbytes > _TIFF_IN_MEMORY else None)
        if int(series.keyframe.photometric) == _PALETTE:
            return (series.keyframe.colormap >> 8).astype(np.uint8).T[array].reshape(shape)
        if _GDAL_NODATA in series.keyframe.tags:
            _replace_missing(array, series.keyframe.tags[_GDAL_NODATA].value, name, notes)
        if int(series.keyframe.photometric) == _WHITE_IS_ZERO and array.dtype.kind in "bu":
            array = ~array
        channel_axes = [position for position, axis in enumerate(series.axes) if axis in "SC"]
        return np.moveaxis(array, channel_axes, range(-len(channel_axes), 0)).reshape(shape)


def _replace_missing(array: np.ndarray, nodata: str, name: str, notes: Notes) -> None:
    """Gives the samples of `array` that equal `nodata` the lowest value of the others, in place."""
    value = float(nodata)
    with np.errstate(over="ignore"):
        missing = np.isnan(array) if math.isnan(value) else array == value
    if missing.all():
        raise UserError(f"{name} holds nothing but its value for missing samples, {value:g}")
    if missing.any():
        lowest = np.min(array, where=~missing, initial=array[~missing][0])
        array[missing] = lowest
        notes.add(name, f"missing samples, marked by {value:g}, get the lowest value of the others, {lowest:g}")


def _tiff_shape(axes: list[tuple[str, int]], samples: int, name: str) -> Shape:
    channels = samples * math.prod(length for axis, length in axes if axis in "SC")
    rest = [length for axis, length in axes if axis not in "SC"]
    if channels == 1 and len(rest) > 2 and rest[-1] <= MAX_CHANNELS:
        # Channels-last arrays that were written without saying so: no picture is so narrow.
        channels = rest.pop()
    if len(rest) < 2:
        raise UserError(f"{name} holds no picture: its axes are {', '.join(f'{axis} {n}' for axis, n in axes)}")
    return math.prod(rest[:-2]), rest[-2], rest[-1], channels


def _stills(
    name: str, kind: str, dtype: np.dtype | None, shape: Shape, read: Callable[[Notes], np.ndarray]
) -> list[Still]:
    """The frames that `read` gives as one array of this shape; it is read once where there are several."""
    count, height, width, channels = shape
    if dtype is None or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UserError(f"{name} holds samples of type {dtype}; whole and floating-point numbers can be trained")
    if not 1 <= channels <= MAX_CHANNELS:
        raise UserError(f"{name} has {channels} channels; 1 to {MAX_CHANNELS} can be trained")
    if count < 1:
        raise UserError(f"{name} holds no frames")
    check_pixels(name, height, width, _MAX_SAMPLES // max(channels, 2))
    read = functools.cache(read) if count > 1 else read

    def load(number: int, notes: Notes) -> np.ndarray:
        return np.ascontiguousarray(read(notes)[number], dtype=np.dtype(dtype.name))

    return [
        Still(name, kind, dtype.name, (height, width), channels, functools.partial(load, number))
        for number in range(count)
    ]
