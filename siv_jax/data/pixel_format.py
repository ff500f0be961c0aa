"""How a source holds its samples, so that what a run makes can be written back as what came in."""

import dataclasses
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """The source's type and the two source values that stand for -1 and +1.

    kind: 'picture' (written back as 8-bit PNG), 'npy' or 'tiff'. dtype: numpy name of the source's samples,
    'uint8' for pictures and clips. low equals high where all samples are the same. photometric: tifffile's name of what
    the channels of a TIFF mean. extrasamples: its names of further channels such as alpha, with spaces between.
    """

    kind: Literal["picture", "npy", "tiff"]
    dtype: str
    low: float
    high: float
    photometric: str = ""
    extrasamples: str = ""

    def from_source(self, samples: np.ndarray) -> np.ndarray:
        """float32 in [-1, 1] of source samples that lie in [low, high]; any shape."""
        scaled = (samples.astype(np.float64) - self.low) * (2.0 / (self.high - self.low or 1.0)) - 1.0
        return np.clip(scaled, -1.0, 1.0).astype(np.float32)

    def to_source(self, images: np.ndarray) -> np.ndarray:
        """Source samples of dtype `dtype` from float32 images in [-1, 1] (clipped to them); any shape."""
        share = (np.clip(images.astype(np.float64), -1.0, 1.0) + 1.0) * 0.5
        values = self.low + share * (self.high - self.low)
        dtype = np.dtype(self.dtype)
        return (values if dtype.kind == "f" else np.rint(values)).astype(dtype)


PICTURE = PixelFormat(kind="picture", dtype="uint8", low=0.0, high=255.0)
