"""Masks from files: 8-bit gray or palette pictures, or .npy, a label for every pixel of a picture."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from siv_jax.config import DataConfig
from siv_jax.data import drawn
from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.files import FRAME_SUFFIXES, numpy_file, resolve
from siv_jax.data.folders import entries
from siv_jax.data.masks import UNLABELLED, MaskFormat, Masks, nearest
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import opened, turned_upright
from siv_jax.data.selection import choose
from siv_jax.data.source import Source
from siv_jax.errors import UserError

# As run gray masks with a value of so much are of one object, others hold ids.
_FIRST_GRAY = 30
# The least that the lightest pixel of an object's mask has.
_LIGHT = 250


class _File(NamedTuple):
    """values: uint8 [H, W]. palette: RGB of the values where the file has one."""

    name: str
    values: np.ndarray
    palette: tuple[int, ...] | None


def read_masks(path: Path, source: Source) -> Masks:
    """The mask of a picture, or the folder of masks of a clip's frames, at the source's size, labels as they stand.

    Raises UserError: nothing readable there, not a mask, or not as many or as large as the source's frames.
    """
    files = _files(str(path), source, None)
    return Masks(one_line(path), _stacked(files, source), MaskFormat(False, 255, palette=files[0].palette))


def with_classes(masks: Masks) -> Masks:
    """Masks of `read_masks` with the classes that their values tell apart.

    As in training gray masks that go up to white are of one object; of ids 255 marks unlabelled pixels.

    Raises UserError: they label the background alone, or fit no kind of mask.
    """
    found = np.unique(masks.values)
    ids = found[found != UNLABELLED]
    gray = masks.format.palette is None
    if gray and found[-1] >= _LIGHT and _fits_object(found):
        return dataclasses.replace(masks, format=MaskFormat(True, 2))
    if gray and len(ids) and ids[-1] >= _FIRST_GRAY:
        raise UserError(_no_kind(masks.name, ids[-1]))
    if not ids.any():
        raise UserError(f"{masks.name} labels nothing but the background: its pixels are 0 or {UNLABELLED}")
    kept = MaskFormat(False, int(ids[-1]) + 1, UNLABELLED, masks.format.palette)
    return dataclasses.replace(masks, format=kept)


def training_masks(data: DataConfig, source: Source) -> Masks:
    """The masks at `data.mask` of the frames of `source`, and the classes that they tell apart.

    Palette pictures hold ids. So do gray ones and arrays whose values all lie below 30; with higher ones they are masks
    of one object, from 0 to 255, with edges that may be soft.

    Raises UserError: as `read_masks`, or ids that are no classes, or masks that tell nothing apart.
    """
    files = _files(data.mask, source, data)
    name = one_line(data.mask)
    values = _stacked(files, source)
    labelled = values[values != data.mask_ignore]
    found = np.unique(labelled)
    if not len(found):
        raise UserError(f"{name} labels nothing: every pixel is data.mask_ignore {data.mask_ignore}")
    is_object = files[0].palette is None and _is_object(name, found, data)
    if not is_object:
        _require_ids(name, found, data)
    classes = 2 if is_object else data.mask_classes or max(2, int(found[-1]) + 1)
    kept = MaskFormat(is_object, classes, data.mask_ignore if data.mask_ignore < 256 else None, files[0].palette)
    masks = Masks(one_line(Path(data.mask).name), values, kept)
    present = np.unique(kept.labels(labelled))
    if len(present) == 1:
        what = "is empty: every pixel is 0" if present[0] == 0 else f"has one class alone: every pixel is {present[0]}"
        raise UserError(f"{name} {what}; a mask must tell at least two classes apart")
    return masks


def _is_object(name: str, found: np.ndarray, data: DataConfig) -> bool:
    """Whether gray masks with these values are of one object, not of ids."""
    if data.mask_classes not in (0, 2) or found[-1] < _FIRST_GRAY:
        return False
    if found[-1] < _LIGHT or not _fits_object(found):
        raise UserError(
            f"{_no_kind(name, found[-1])}; set data.mask_ignore {found[-1]} if that marks unlabelled pixels, or "
            "data.mask_classes for more ids"
        )
    return True


def _no_kind(name: str, highest: int) -> str:
    return (
        f"{name} holds values up to {highest} and fits no kind of mask: ids lie below {_FIRST_GRAY}, an object's mask "
        "goes from 0 to 255"
    )


def _fits_object(found: np.ndarray) -> bool:
    """Whether gray values that go up to white can be an object's: those near black are soft edges among others."""
    between = (found >= _FIRST_GRAY) & (found < _LIGHT)
    return bool(between.any() or not ((found > 0) & (found < _FIRST_GRAY)).any())


def _require_ids(name: str, found: np.ndarray, data: DataConfig) -> None:
    highest, classes = int(found[-1]), data.mask_classes or _FIRST_GRAY
    if highest < classes:
        return
    there = f"data.mask_classes is {classes}" if data.mask_classes else f"ids lie below {classes}"
    raise UserError(
        f"{name} holds the id {highest}, above its classes: {there}; set data.mask_classes {highest + 1}, or "
        f"data.mask_ignore {highest} if that marks unlabelled pixels"
    )


def _stacked(files: Sequence[_File], source: Source) -> np.ndarray:
    """uint8 [N, H, W] at the source's size."""
    return np.concatenate([nearest(file.values[None], *source.size) for file in files])


def _files(path: str, source: Source, data: DataConfig | None) -> list[_File]:
    """A mask for each frame, upright and in its frame's proportions. `data` chose the frames of a clip."""
    if path.startswith(drawn.PREFIX):
        if data and data.path != path:  # the config's own, which a photo of the same proportions would seem to fit
            raise UserError(f"{path} is not the mask of {source.name}: add --config.data.mask with its own")
        numbers = choose(source.frames_found, data) if data else range(source.num_frames)
        found = [_File(path, labels, drawn.PALETTE) for labels in drawn.draw_masks(path)]
        return _of_each(path, source, [found[i] for i in numbers if i < len(found)])
    root, is_folder = resolve(path)
    if not is_folder:
        return _of_each(path, source, _read(root))
    paths = [entry for entry in entries(root) if entry.suffix.lower() in FRAME_SUFFIXES and entry.is_file()]
    if source.files:
        by_stem = {entry.stem: entry for entry in paths}
        missing = [file.name for file in source.files if file.stem not in by_stem]
        if missing:
            raise UserError(
                f"{one_line(path)} holds no mask for {one_line(missing[0])}"
                + (f" and {len(missing) - 1} more frames" if len(missing) > 1 else "")
                + ": a mask has the name of its picture, but for the ending"
            )
        paths = [by_stem[file.stem] for file in source.files]
    elif data and len(paths) == source.frames_found != source.num_frames:
        paths = [paths[number] for number in choose(len(paths), data)]
    return _of_each(path, source, [one for entry in paths for one in _read(entry)])


def _of_each(path: str, source: Source, files: list[_File]) -> list[_File]:
    if len(files) != source.num_frames:
        raise UserError(f"{one_line(path)} holds {len(files)} masks; {source.name} has {source.num_frames} frames")
    return [_fitting(file, source, number) for number, file in enumerate(files)]


def _read(path: Path) -> list[_File]:
    """The masks in a file: one, or those of an array [N, H, W]."""
    name = one_line(path.name)
    if path.suffix.lower() == ".npy":
        with decoding(name, Notes()), numpy_file(path, name):
            array = np.load(path, allow_pickle=False)
        if array.ndim not in (2, 3) or array.dtype.kind not in "bui" or array.size == 0:
            raise UserError(f"{name} is {array.dtype}{list(array.shape)}: masks are whole numbers [H,W] or [N,H,W]")
        if array.min() < 0 or array.max() > 255:
            raise UserError(f"{name} holds ids from {array.min()} to {array.max()}: they lie between 0 and 255")
        return [_File(name, one.astype(np.uint8), None) for one in array.reshape(-1, *array.shape[-2:])]
    with decoding(name, Notes()), opened(path, name, ("TIFF",)) as image:
        if image is None:
            raise UserError(f"{name} is not a picture that can be read: it is damaged or of another kind")
        if image.mode not in ("1", "L", "P"):
            raise UserError(
                f"{name} is a {image.mode} picture: a mask has one label a pixel, as 8-bit gray or palette PNG"
            )
        palette = tuple(image.getpalette()) if image.mode == "P" else None
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return [_File(name, np.asarray(turned_upright(image.copy(), orientation)).astype(np.uint8), palette)]


def _fitting(file: _File, source: Source, number: int) -> _File:
    """The mask as its frame is shown. One made from the photo's stored pixels is turned as the photo is.

    Raises UserError: it has other proportions.
    """
    size, orientation = _frame(source, number)
    if _alike(file.values.shape, size):
        return file
    if orientation in (5, 6, 7, 8) and _alike(file.values.shape, size[::-1]):
        turned = turned_upright(Image.fromarray(file.values), orientation)
        source.notes.add(file.name, "turned as its photo's EXIF orientation says")
        return file._replace(values=np.asarray(turned))
    height, width = file.values.shape
    raise UserError(f"{file.name} is {width}x{height}; the picture that it belongs to is {size[1]}x{size[0]}")


def _frame(source: Source, number: int) -> tuple[tuple[int, int], int]:
    """((height, width) as shown, EXIF orientation) of a frame."""
    if not source.files or source.format.kind != "picture":
        return source.size, 1
    path = source.files[number]
    name = one_line(path.name)
    with decoding(name, Notes()), opened(path, name) as image:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        turned = orientation in (5, 6, 7, 8)
        return ((image.width, image.height) if turned else (image.height, image.width)), orientation


def _alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a size is the other one, or another of its proportions, rounded to pixels."""
    scale = max(size) / max(other)
    return all(abs(side - scale * wanted) <= 0.5 for side, wanted in zip(size, other, strict=True))
