"""Reading pictures, clips, arrays and TensorFlow Datasets into the frames that a run trains on."""

from siv_jax.data.open import Frames, PixelFormat, load_frames

__all__ = ["Frames", "PixelFormat", "load_frames"]
