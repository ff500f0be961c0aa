"""The source that a workdir keeps: its frames, lossless, so that the file they came from is needed no more."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.masks import MaskFormat, Masks
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.resize import limited, resize
from siv_jax.data.source import MAX_CHANNELS, Source
from siv_jax.errors import UserError

MASKS = "masks"
# Pixels of the longer side that are kept, of a single frame and of the frames of a clip.
MAX_SIDE, MAX_CLIP_SIDE = 4096, 1080
# Most levels, of 255, by which versions of a decoder may differ in what they make of one file.
_ROUNDING = 8


def store(source: Source, folder: Path) -> tuple[int, int]:
    """Writes the frames of `source` into `folder`, in place of what lies there, complete or not at all.

    8-bit RGB becomes PNG, everything else .npy with what `source.frames` gives, so that `stored` gives the same frames
    bit for bit, of the size that `reduced` gives them. Masks lie in a folder beside them, as gray PNG. Returns (height,
    width) of the kept frames.

    Raises UserError: the source is damaged; OSError: the folder cannot be written.
    """
    source = reduced(source)
    suffix = ".png" if source.format.dtype == "uint8" and source.channels == 3 else ".npy"
    partial, former = (folder.with_name(f".{folder.name}.{name}") for name in ("partial", "former"))
    for left in (partial, former):
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for number, frame in enumerate(source.frames(), start=1):
            path = partial / f"{number:06d}-of-{source.num_frames:06d}{suffix}"
            if suffix == ".npy":
                np.save(path, frame)
            else:
                # Level 1 takes a third of the time of Pillow's own choice.
                Image.fromarray(frame).save(path, compress_level=1)
        if source.masks is not None:
            (partial / MASKS).mkdir()
            for number, mask in enumerate(source.masks.values, start=1):
                Image.fromarray(mask).save(partial / MASKS / f"{number:06d}-of-{source.num_frames:06d}.png")
        if folder.exists():
            folder.rename(former)
        partial.rename(folder)
    finally:
        for left in (partial, former):
            shutil.rmtree(left, ignore_errors=True)
    return source.size


def reduced(source: Source) -> Source:
    """`source` as it is kept: its longer side has at most MAX_SIDE pixels, that of a clip MAX_CLIP_SIDE."""
    size = limited(source.size, MAX_SIDE if source.num_frames == 1 else MAX_CLIP_SIDE)
    masks = source.masks and source.masks.resized(*size)
    return dataclasses.replace(
        source, size=size, frames=lambda: (resize(frame, *size) for frame in source.frames()), masks=masks
    )


def stored(
    folder: Path, name: str, frames_found: int, pixel_format: PixelFormat, mask_format: MaskFormat | None = None
) -> Source:
    """The source that `store` wrote into `folder`; of frames the first one's header alone is read before `frames`.

    Args:
      mask_format: of the masks beside the frames, where there are some.

    Raises UserError: files are missing, or damaged as far as that is seen; `frames` raises it for what is seen later.
    """
    paths = sorted([*folder.glob("*-of-*.png"), *folder.glob("*-of-*.npy")])
    last = paths[0].stem.rpartition("-")[2] if paths else ""
    count = int(last) if last.isdecimal() else 0
    if not paths or [path.stem for path in paths] != [f"{number:06d}-of-{count:06d}" for number in range(1, count + 1)]:
        raise UserError(
            f"{one_line(folder)} does not hold all frames of {name} ({len(paths)} of {count or 'an unknown number'})"
        )
    notes = Notes()
    dtype = np.dtype(np.uint8 if pixel_format.dtype == "uint8" else np.float32)
    height, width, channels = shape = _read(paths[0], notes, header_only=True)[0]

    def frames() -> Iterator[np.ndarray]:
        for path in paths:
            found, frame = _read(path, notes)
            if (found, frame.dtype) != (shape, dtype):
                raise UserError(
                    f"{one_line(path)} is not the frame that was kept: copy it again, or start in a new workdir"
                )
            yield frame

    source = Source(name, frames_found, count, (height, width), channels, pixel_format, frames, notes)
    if mask_format is None:
        return source
    masks = Masks(
        name, _read_masks([folder / MASKS / f"{path.stem}.png" for path in paths], (height, width)), mask_format
    )
    return dataclasses.replace(source, masks=masks)


def _read_masks(paths: list[Path], size: tuple[int, int]) -> np.ndarray:
    """uint8 [N, H, W] of the kept masks."""
    masks = []
    for path in paths:
        with decoding(one_line(path), Notes()), Image.open(path, formats=["PNG"]) as image:
            if image.mode != "L" or (image.height, image.width) != size:
                raise UserError(
                    f"{one_line(path)} is not the mask that was kept: copy it again, or start in a new workdir"
                )
            masks.append(np.asarray(image))
    return np.stack(masks)


def nearly_equal(source: Source, kept: Source) -> bool:
    """Whether `kept` was made from the file of `source`, which another version of its decoder read then.

    Only pictures and clips are decoded with rounding; their masks must be the same. Raises UserError: one of them is
    damaged.
    """
    if (source.num_frames, source.channels, source.format) != (kept.num_frames, kept.channels, kept.format):
        return False
    if (source.masks is None) != (kept.masks is None):
        return False
    if source.masks is not None and not source.masks.resized(*kept.size).same(kept.masks):
        return False
    if source.format.kind != "picture" or source.format.dtype != "uint8":
        return False
    pairs = zip(source.frames(), kept.frames(), strict=True)
    return all(
        np.abs(resize(frame, *kept.size).astype(np.int16) - its_copy).max() <= _ROUNDING for frame, its_copy in pairs
    )


def _read(path: Path, notes: Notes, header_only: bool = False) -> tuple[tuple[int, ...], np.ndarray | None]:
    """Shape [H,W,C] and samples of a kept frame; None instead of a PNG's samples with `header_only`."""
    with decoding(one_line(path), notes):
        if path.suffix == ".npy":
            frame = np.load(path, mmap_mode="r" if header_only else None, allow_pickle=False)
            if frame.ndim != 3 or not 1 <= frame.shape[2] <= MAX_CHANNELS:
                raise UserError(f"{one_line(path)} is not the frame that was kept: copy it again")
            return frame.shape, frame
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != "RGB":
                raise UserError(f"{one_line(path)} is not the frame that was kept: copy it again")
            return (image.height, image.width, 3), None if header_only else np.asarray(image)
