"""TIFF through tifffile: its channels as they are, and the tags that say what they mean."""

import functools
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from siv_jax.data.arrays import Shape, stills_of
from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.source import MAX_CHANNELS, Still
from siv_jax.errors import UserError

# A larger TIFF is decoded into a temporary file instead of memory, one above the limit is refused.
_IN_MEMORY = 2**26
_LIMIT = 2**33
_PALETTE, _WHITE_IS_ZERO, _CIELAB, _RAW_PHOTOMETRICS = 3, 0, 8, (32803, 34892)
# Of what samples are written as; anything else is a stack of gray channels. YCbCr is decoded to RGB, palettes, too.
_WRITTEN = {2: "rgb", 3: "rgb", 5: "separated", 6: "rgb", 8: "cielab", 9: "icclab"}
_COLOURS = {"rgb": 3, "separated": 4, "cielab": 3, "icclab": 3}
_EXTRA = {0: "unspecified", 1: "assocalpha", 2: "unassalpha"}
_ORIENTATION, _GDAL_NODATA = 274, 42113
# Orientation -> whether rows and columns change places first, then whether each of them is reversed.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def tiff_stills(path: Path, name: str, notes: Notes) -> list[Still]:
    """The first series of a TIFF: its pages are frames, its samples per pixel channels.

    Palettes are looked up, and where 0 means white the samples are inverted. Pages are turned as their tag of
    orientation says. The signed colours of CIE Lab become unsigned ones. Samples that GDAL's tag marks as missing get
    the lowest value of the others; a tag that is no number marks none.

    Raises UserError: damaged, a camera's raw file, of a shape that is no picture, or not of plain numbers.
    """
    with decoding(name, notes):
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            if not tiff.series:
                raise UserError(f"{name} holds no picture")
            series = tiff.series[0]
            page, dtype = series.keyframe, series.dtype
            photometric, palette, turn = page.photometric, page.colormap, _turn(page)
            extra = [_EXTRA.get(int(kind), "unspecified") for kind in page.extrasamples]
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
    count, height, width, channels = shape = _shape(axes, 3 if photometric == _PALETTE else 1, name)
    if dtype is not None and dtype.kind == "b" and channels > 1:
        # tifffile mixes up the bits of several interleaved channels.
        raise UserError(f"{name} has {channels} channels of 1 bit: save it with 8 bits")
    if turn and turn[0]:
        shape = (count, width, height, channels)
    read = functools.partial(_read, path, name, (count, height, width, channels))
    return stills_of(name, "tiff", dtype, shape, read, **_meaning(photometric, extra, channels))


def write_tiff(file: BinaryIO, sample: np.ndarray, pixel_format: PixelFormat) -> None:
    """Writes a sample [H, W, C] with the meaning of channels that the source's tags gave."""
    import tifffile

    if pixel_format.photometric == "cielab":
        sample = _lab_as_stored(sample)
    options = {"photometric": pixel_format.photometric or "minisblack", "metadata": None}
    if pixel_format.extrasamples:
        options["extrasamples"] = pixel_format.extrasamples.split()
    if sample.shape[-1] == 1:
        sample = sample[..., 0]
    else:
        options["planarconfig"] = "contig"
    tifffile.imwrite(file, sample, **options)


def _meaning(photometric: int, extra: list[str], channels: int) -> dict[str, str]:
    """See PixelFormat; channels that the tags do not account for are a stack of gray ones."""
    written = _WRITTEN.get(int(photometric), "minisblack")
    if _COLOURS.get(written, 1) + len(extra) != channels:
        return {"photometric": "minisblack", "extrasamples": ""}
    return {"photometric": written, "extrasamples": " ".join(extra)}


def _turn(page) -> tuple[bool, bool, bool] | None:
    """See _TURNS; None of a page that is upright."""
    return _TURNS.get(page.tags[_ORIENTATION].value) if _ORIENTATION in page.tags else None


def _read(path: Path, name: str, shape: Shape, notes: Notes) -> np.ndarray:
    import tifffile

    with decoding(name, notes), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if series.nbytes > _LIMIT:
            raise UserError(f"{name} holds {series.nbytes / 2**30:.1f} GiB; at most 8 are read: split it first")
        array = series.asarray(out="memmap" if series.nbytes > _IN_MEMORY else None)
        return _turned(_channels_last(array, series, name, notes).reshape(shape), _turn(series.keyframe))


def _channels_last(array: np.ndarray, series, name: str, notes: Notes) -> np.ndarray:
    """The samples of a series as channels of light, or of whatever they measure, behind the other axes."""
    page = series.keyframe
    photometric = int(page.photometric)
    if photometric == _PALETTE:
        return (page.colormap >> 8).astype(np.uint8).T[array]
    if _GDAL_NODATA in page.tags:
        _replace_missing(array, page.tags[_GDAL_NODATA].value, name, notes)
    if photometric == _WHITE_IS_ZERO and array.dtype.kind in "bu":
        array = ~array
    channel_axes = [position for position, axis in enumerate(series.axes) if axis in "SC"]
    array = np.moveaxis(array, channel_axes, range(-len(channel_axes), 0))
    return _lab_as_stored(array) if photometric == _CIELAB else array


def _lab_as_stored(samples: np.ndarray) -> np.ndarray:
    """CIE Lab [..., 3 or more]: a and b from signed, as TIFF has them, to unsigned with gray in the middle, or back."""
    if samples.dtype.kind != "u":
        return samples
    samples = samples.copy()
    samples[..., 1:3] ^= samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
    return samples


def _turned(array: np.ndarray, turn: tuple[bool, bool, bool] | None) -> np.ndarray:
    """[N, H, W, C] turned as `_TURNS` says."""
    if turn is None:
        return array
    transposed, rows, columns = turn
    array = array.swapaxes(1, 2) if transposed else array
    return array[:, :: -1 if rows else 1, :: -1 if columns else 1]


def _replace_missing(array: np.ndarray, nodata: object, name: str, notes: Notes) -> None:
    """Gives the samples of `array` that equal `nodata`, a number as text, the lowest value of the others, in place."""
    try:
        value = float(nodata)
    except (TypeError, ValueError):
        text = one_line(repr(nodata), 40)
        notes.add(name, f"tag {_GDAL_NODATA} (GDAL_NODATA) is {text}, no number: no samples are taken for missing")
        return
    with np.errstate(over="ignore"):
        missing = np.isnan(array) if math.isnan(value) else array == value
    if missing.all():
        raise UserError(f"{name} holds nothing but its value for missing samples, {value:g}")
    if missing.any():
        lowest = np.min(array, where=~missing, initial=array[~missing][0])
        array[missing] = lowest
        notes.add(name, f"missing samples, marked by {value:g}, get the lowest value of the others, {lowest:g}")


def _shape(axes: list[tuple[str, int]], samples: int, name: str) -> Shape:
    channels = samples * math.prod(length for axis, length in axes if axis in "SC")
    rest = [length for axis, length in axes if axis not in "SC"]
    if channels == 1 and len(rest) > 2 and rest[-1] <= MAX_CHANNELS:
        # Channels-last arrays that were written without saying so: no picture is so narrow.
        channels = rest.pop()
    if len(rest) < 2:
        raise UserError(f"{name} holds no picture: its axes are {', '.join(f'{axis} {n}' for axis, n in axes)}")
    return math.prod(rest[:-2]), rest[-2], rest[-1], channels


