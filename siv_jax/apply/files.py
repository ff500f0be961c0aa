"""What an application made, as files."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from siv_jax.apply.made import Made
from siv_jax.data import PixelFormat
from siv_jax.models.interface import Samples
from siv_jax.sampling import pictures, sample_files
from siv_jax.sampling.pair_files import PairFiles
from siv_jax.words import counted

SOFT_MASK, WHOLE = "feathered_mask.png", "unblended"

Progress = Callable[[Iterable, int], Iterable]


def write(folder: Path, made: Made, name: str, pixel_format: PixelFormat, progress: Progress) -> list[str]:
    """Writes pictures and a contact sheet, or an animation NAME.gif and NAME.mp4; returns lines for people.

    Beside pictures that were blended lie the feathered mask and, in a folder, the same pictures before it.

    Raises:
      UserError: the folder holds samples that siv_jax did not write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if made.frames_per_second is not None:
        return [*made.notes, *_write_animation(folder, made, name, progress)]
    unblended = PairFiles(folder / WHOLE, pixel_format)
    beside = [SOFT_MASK, *(f"{WHOLE}/{name}" for name in unblended.names(made.count))] if made.soft is not None else []

    def batches():
        if beside:
            unblended.folder.mkdir(exist_ok=True)
            pictures.save_png(folder / SOFT_MASK, np.rint(made.soft * 255).astype(np.uint8)[..., None])
        for number, (image, blended) in enumerate(progress(made.finished(), made.count)):
            if beside:
                unblended.write(number, pixel_format.to_source(image), None)
            yield Samples(blended[None])

    sheet = sample_files.write_samples(folder, batches(), made.count, pixel_format, beside=beside)
    lines = [f"{counted(made.count, 'picture')} in {folder}, all together in {sheet}"]
    if made.soft is not None:
        lines.append(f"blended with the photo by {folder / SOFT_MASK}; before that they are in {unblended.folder}")
    return [*made.notes, *lines]


def _write_animation(folder: Path, made: Made, name: str, progress: Progress) -> list[str]:
    frames = progress(made.images, made.count)
    shown = np.stack([pictures.viewable(pictures.to_uint8(frame)) for frame in frames])
    gif, mp4 = folder / f"{name}.gif", folder / f"{name}.mp4"
    pictures.save_gif(gif, shown, made.frames_per_second)
    pictures.save_mp4(mp4, shown, made.frames_per_second)
    return [str(gif), str(mp4)]
