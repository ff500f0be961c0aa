"""Every input of a run, from the path in the config to frames at the training resolution."""

import dataclasses

from siv_jax.config import DataConfig
from siv_jax.data.decoding import one_line
from siv_jax.data.notes import Notes
from siv_jax.data.selection import choose, note_choice, refuse_times
from siv_jax.data.source import Reel


def open_source(data):
    notes = Notes()
    return dataclasses.replace(_open(data, notes), notes=notes)


def _open(data: DataConfig, notes: Notes) -> Reel:
    # Pillow and the others are imported by those that read, not by those that only name the types.
    from siv_jax.data import animations, arrays, clips, drawn, files, folders, pictures, tfds_examples
    from siv_jax.data import source as reel

    if data.path.startswith(tfds_examples.PREFIX):
        return tfds_examples.tfds_reel(data, notes)
    if data.path.startswith(drawn.PREFIX):
        return drawn.drawn_reel(data, notes)
    path, is_folder = files.resolve(data.path)
    if is_folder:
        return folders.folder_reel(path, data, notes)
    name, kind = one_line(path.name), files.sniff(path)
    if kind != "other":
        array = (arrays.open_npy if kind == "npy" else arrays.open_tiff)(path, name, notes)
        refuse_times(name, data)
        numbers = choose(array.shape[0], data)
        note_choice(name, array.shape[0], len(numbers), data, notes)
        return reel.reel_of_stills(name, array.shape[0], array.stills(numbers), notes)
    frames = pictures.count_frames(path, name, notes)
    if frames == 0:
        return clips.clip_reel(path, data, notes)
    if frames > 1:
        return animations.animation_reel(path, data, notes)
    refuse_times(name, data)
    return reel.reel_of_stills(name, 1, pictures.picture_stills([(name, path)], data.background, notes), notes)
