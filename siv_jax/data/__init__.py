"""Reading pictures, clips, arrays and TensorFlow Datasets into the frames that a model learns from."""

from siv_jax.data.open import open_source
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.source import Source

__all__ = ["PixelFormat", "Source", "open_source"]
