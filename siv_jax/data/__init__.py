"""Reading pictures, clips, arrays and TensorFlow Datasets into the frames that a run trains on."""

from siv_jax.data.open import Frames, load_frames, open_source
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.source import Source

__all__ = ["Frames", "PixelFormat", "Source", "load_frames", "open_source"]
