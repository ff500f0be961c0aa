"""Reading pictures, clips, arrays and TensorFlow Datasets into the frames that a model learns from."""

from siv_jax.config import DataConfig
from siv_jax.data.decoding import one_line
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.source import Source, source_of_stills

__all__ = ["PixelFormat", "Source", "open_source"]


def open_source(data: DataConfig) -> Source:
    """The frames that `data.path` names, chosen as `data` says, by the content of the file.

    Raises UserError: nothing readable there; one line that names the file.
    """
    # Each package that decodes is imported where it is needed, not by those that only name the types.
    from siv_jax.data import animations, arrays, clips, drawn, files, folders, pictures, selection, tfds_examples, tiffs

    notes = Notes()
    if data.path.startswith(tfds_examples.PREFIX):
        return tfds_examples.tfds_source(data, notes)
    if data.path.startswith(drawn.PREFIX):
        return drawn.drawn_source(data, notes)
    path, is_folder = files.resolve(data.path)
    if is_folder:
        return folders.folder_source(path, data, notes)
    name, kind = one_line(path.name), files.sniff(path)
    if kind == "other":
        frames = pictures.count_frames(path, name, notes)
        if frames != 1:
            return (animations.animation_source if frames else clips.clip_source)(path, name, data, notes)
        stills = pictures.picture_stills([(name, path)], data.background, notes)
    else:
        stills = (arrays.npy_stills if kind == "npy" else tiffs.tiff_stills)(path, name, notes)
    numbers = selection.select(name, len(stills), data, notes)
    return source_of_stills(name, len(stills), [stills[number] for number in numbers], notes)
