import dataclasses
import hashlib
import numpy as np
from siv_jax.data.source import Source


def store(source, folder):
    folder.mkdir(exist_ok=True)
    np.save(folder / "frames.npy", source.resized(*source.size))
    return source.size


def stored(folder, name, frames_found, pixel_format):
    from siv_jax.data.resize import resize
    frames = np.load(folder / "frames.npy")
    def fill(out, notes):
        for row, frame in zip(out, frames): row[...] = resize(frame, *row.shape[:2])
    return Source(name, frames_found, len(frames), frames.shape[1:3], frames.shape[3], pixel_format, fill)
