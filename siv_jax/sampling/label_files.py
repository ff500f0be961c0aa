"""Labelled samples in the formats that segmentation networks are trained with: COCO's and Pascal VOC's."""

import json

import numpy as np
from PIL import Image

from siv_jax.data.masks import UNLABELLED, MaskFormat
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.errors import UserError
from siv_jax.sampling.pair_files import PairFiles
from siv_jax.workdir.layout import write_atomically, write_text


class CocoFiles(PairFiles):
    """The samples and masks as ever, and annotations.json: COCO's instance format.

    Each class of a picture, but for the background, is one annotation: all of its pixels as compressed run lengths.
    Pixels that belong to no class are in none. Annotations are in memory until the draw ends.
    """

    INDEX = "annotations.json"

    def __init__(self, *formats):
        super().__init__(*formats)
        self._images: list[dict] = []
        self._annotations: list[dict] = []

    def names(self, count: int) -> list[str]:
        return [*super().names(count), self.INDEX]

    def write(self, number: int, sample: np.ndarray, mask: np.ndarray) -> None:
        super().write(number, sample, mask)
        height, width = mask.shape
        image = {"id": number + 1, "file_name": f"sample_{number:05d}.png", "width": width, "height": height}
        present = [int(label) for label in np.unique(mask) if label not in (0, UNLABELLED)]
        first = len(self._annotations) + 1
        found = [
            {"id": first + i, "image_id": image["id"]} | _annotation(mask, label) for i, label in enumerate(present)
        ]
        # Together, so that an interruption leaves no picture without its labels.
        self._images.append(image)
        self._annotations += found

    def finish(self) -> None:
        if not self._images:
            return
        contents = {
            "info": {"description": "samples of siv_jax"},
            "images": self._images,
            "categories": _categories(self.mask_format),
            "annotations": self._annotations,
        }
        write_text(self.folder / self.INDEX, json.dumps(contents))


class VocFiles(PairFiles):
    """A folder of Pascal VOC: JPEGImages/NAME.jpg, SegmentationClass/NAME.png, ImageSets/Segmentation/train.txt.

    JPEG, since readers of VOC look for files of that name, at the highest quality and full resolution of colour: values
    are off by less than 1 on average. Masks hold the class of each pixel and 255 where there is none, and have the
    input's palette, or VOC's.
    """

    INDEX = "ImageSets/Segmentation/train.txt"
    _IMAGES, _MASKS = "JPEGImages", "SegmentationClass"

    def __init__(self, *formats):
        super().__init__(*formats)
        self._done: list[str] = []

    def names(self, count: int) -> list[str]:
        names = [f"sample_{number:05d}" for number in range(count)]
        images = [f"{self._IMAGES}/{name}.jpg" for name in names]
        return [*images, *(f"{self._MASKS}/{name}.png" for name in names), self.INDEX]

    def write(self, number: int, sample: np.ndarray, mask: np.ndarray) -> None:
        name, picture, labels = f"sample_{number:05d}", Image.fromarray(sample), Image.fromarray(mask.astype(np.uint8))
        labels.putpalette(self.mask_format.colours().tobytes())
        for folder, save in (
            (f"{self._MASKS}/{name}.png", lambda file: labels.save(file, format="PNG")),
            (f"{self._IMAGES}/{name}.jpg", lambda file: picture.save(file, format="JPEG", quality=100, subsampling=0)),
        ):
            path = self.folder / folder
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, save)
        self._done.append(name)

    def finish(self) -> None:
        if not self._done:
            return
        index = self.folder / self.INDEX
        index.parent.mkdir(parents=True, exist_ok=True)
        write_text(index, "".join(f"{name}\n" for name in self._done))


FORMATS = {"coco": CocoFiles, "voc": VocFiles}


def require(labels: str, pixel_format: PixelFormat, mask_format: MaskFormat | None) -> None:
    """Checks that samples can be written with `labels`.

    Raises UserError: no such format, no masks, samples that are no pictures, or pycocotools is missing.
    """
    if labels not in FORMATS:
        raise UserError(f"--labels {labels!r} is no format of labels: there are {', '.join(FORMATS)}")
    if mask_format is None:
        raise UserError(
            f"--labels {labels} needs masks, and here are pictures alone: train a model of masks (--config masks), or "
            "render with --mask"
        )
    if pixel_format.kind != "picture":
        raise UserError(f"--labels {labels} is of pictures; this input is {pixel_format.kind}, and so are its samples")
    if labels == "coco":
        try:
            import pycocotools.mask  # noqa: F401
        except ImportError:
            raise UserError("--labels coco needs pycocotools: pip install 'siv_jax[coco]'") from None


def _annotation(mask: np.ndarray, label: int) -> dict:
    """COCO's description of the pixels of a class in a mask, integers [H, W]."""
    from pycocotools import mask as coco

    encoded = coco.encode(np.asfortranarray(mask == label, np.uint8))
    return {
        "category_id": label,
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
        "area": int(coco.area(encoded)),
        "bbox": coco.toBbox(encoded).tolist(),
        "iscrowd": 0,
    }


def _categories(mask_format: MaskFormat) -> list[dict]:
    names = ["object"] if mask_format.is_object else [f"class_{label}" for label in range(1, mask_format.num_classes)]
    return [{"id": label, "name": name, "supercategory": "none"} for label, name in enumerate(names, start=1)]
