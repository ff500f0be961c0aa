"""Masks: a label for every pixel, and what its numbers mean."""

import dataclasses
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

UNLABELLED = 255  # the label of pixels that belong to no class
_SMOOTH = 128  # a soft object mask is of the object from here on


def _standard_colours() -> np.ndarray:
    """The colours of Pascal VOC, uint8 [256, 3]: the bits of a label are dealt out to red, green and blue."""
    labels, colours = np.arange(256), np.zeros((256, 3), np.int64)
    for bit in range(8):
        colours[:, bit % 3] |= (labels >> bit & 1) << (7 - bit // 3)
    return colours.astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class MaskFormat:
    """How masks hold their labels, so that what a run makes can be written back as what came in.

    is_object: gray from 0, the background, to 255, the object, whose edges may be soft; else the values are labels.
    num_classes: with the background, which is class 0.
    ignore: the value of unlabelled pixels; None: there are none.
    palette: RGB of the values, one after another, where the files have one.
    """

    is_object: bool
    num_classes: int
    ignore: int | None = None
    palette: tuple[int, ...] | None = None

    def labels(self, values: np.ndarray) -> np.ndarray:
        """uint8 of the same shape: 0 to num_classes - 1, or UNLABELLED."""
        labels = (values >= _SMOOTH).astype(np.uint8) if self.is_object else values.astype(np.uint8)
        return labels if self.ignore is None else np.where(values == self.ignore, np.uint8(UNLABELLED), labels)

    def values(self, labels: np.ndarray) -> np.ndarray:
        """uint8 of the same shape: labels as the files hold them."""
        values = labels.astype(np.uint8)
        values = values * np.uint8(255) if self.is_object else values
        return values if self.ignore is None else np.where(labels == UNLABELLED, np.uint8(self.ignore), values)

    def colours(self) -> np.ndarray:
        """uint8 [256, 3] of the labels: the files' own, or those of Pascal VOC."""
        if self.palette is None or self.is_object:
            return _standard_colours()
        own = np.array(self.palette, np.uint8).reshape(-1, 3)
        return np.concatenate([own, np.zeros((256 - len(own), 3), np.uint8)])

    def save(self, file: Path | BinaryIO, labels: np.ndarray) -> None:
        """Writes labels [h, w] as a PNG like those that were read."""
        image = Image.fromarray(self.values(labels))
        if self.palette is not None:
            # Pillow gives pixels no more bits than the palette has colours.
            image.putpalette([*self.palette, *bytes(768 - len(self.palette))])
        image.save(file, format="PNG")


@dataclasses.dataclass(frozen=True, eq=False)
class Masks:
    """The masks of a source's frames.

    name: of the file or folder. values: uint8 [N, H, W], at the size of the frames.
    """

    name: str
    values: np.ndarray
    format: MaskFormat

    @property
    def labels(self) -> np.ndarray:
        """uint8 [N, H, W], see MaskFormat."""
        return self.format.labels(self.values)

    def resized(self, height: int, width: int) -> "Masks":
        """These masks at another size, each pixel that of the nearest one."""
        return dataclasses.replace(self, values=nearest(self.values, height, width))

    def channels(self, height: int, width: int) -> np.ndarray:
        """uint8 [N, height, width, num_classes]: 255 where a class is, 0 where not, between them on soft edges."""
        small = self.resized(height, width)
        if self.format.is_object:
            channels = np.stack([255 - small.values, small.values], axis=-1)
        else:
            channels = np.where(small.labels[..., None] == np.arange(self.format.num_classes), 255, 0)
        return np.where((small.labels == UNLABELLED)[..., None], 0, channels).astype(np.uint8)

    def same(self, other: "Masks") -> bool:
        """Whether both label every pixel alike, and mean the same by it; colours that show labels may differ."""
        formats = [dataclasses.replace(masks.format, palette=None) for masks in (self, other)]
        return formats[0] == formats[1] and np.array_equal(self.values, other.values)

    def shares(self) -> np.ndarray:
        """float64 [num_classes]: the share of the labelled pixels that each class has."""
        return shares(self.labels, self.format.num_classes)


def shares(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """float64 [num_classes]: the share of the labelled pixels of uint8 labels that each class has."""
    counts = np.bincount(labels.ravel(), minlength=256)[:num_classes]
    return counts / max(1, counts.sum())


def nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [N, H, W] as [N, height, width]."""
    if values.shape[1:] == (height, width):
        return values
    resized = [Image.fromarray(one).resize((width, height), Image.Resampling.NEAREST) for one in values]
    return np.stack([np.asarray(one) for one in resized])
