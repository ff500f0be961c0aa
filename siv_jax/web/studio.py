"""Drawing for the page: trained models kept in memory, samples as pictures, rendered ones, files to take home."""

import atexit
import collections
import json
import re
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax import api
from siv_jax.cli import command_text
from siv_jax.data.masks import MaskFormat
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.models.interface import Samples
from siv_jax.sampling import pictures, rendering, sample_files
from siv_jax.sampling.drawer import sample_size
from siv_jax.web import runs
from siv_jax.web.favourites import FILE as LATENTS
from siv_jax.web.favourites import Favourites
from siv_jax.web.places import STEPS, Place
from siv_jax.workdir import kept_input, layout

# Models in memory at most, grids whose first samples are there rendered, and how many of each.
_MODELS, _GRIDS, PREVIEWS = 2, 8, 2
# Longer side of a preview, in pixels.
PREVIEW_SIDE = 512
_FRAMES_PER_SECOND = 12


class Studio:
    """All that draws. One thread at a time does; the others wait."""

    def __init__(self):
        self._turn = threading.RLock()
        self._models: collections.OrderedDict[tuple, api.Model] = collections.OrderedDict()
        self._previews: collections.OrderedDict[tuple, list[Path]] = collections.OrderedDict()
        self._files = Path(tempfile.mkdtemp(prefix="siv_jax_"))
        atexit.register(shutil.rmtree, self._files, ignore_errors=True)

    def model(self, workdir: Path) -> api.Model:
        """The newest weights of a run. Raises UserError: there are none."""
        steps = layout.completed_steps(workdir)
        key = workdir, steps, runs.stamp(workdir / layout.CHECKPOINTS / str(steps))
        with self._turn:
            if key not in self._models:
                self._models[key] = api.load(workdir)
                _forget(self._models, _MODELS)
            self._models.move_to_end(key)
            return self._models[key]

    def draw(self, model: api.Model, places: Sequence[Place]) -> list[np.ndarray]:
        """Pictures uint8 [H, W, 3] as the network draws them; those that have masks beside themselves under them."""
        with self._turn:
            drawn = model.draw(np.stack([place.latents for place in places]))
        return [enlarged(image) for image in _looked_at(drawn, model.record.masks)]

    def preview(self, model: api.Model, place: Place) -> np.ndarray:
        """One of `draw`, rendered, small enough to come soon.

        Raises UserError: the photo is too small to be rendered from.
        """
        height, width = limited(model.record.kept_size, PREVIEW_SIDE)
        return _looked_at(self._made(model, place, f"{width}x{height}"), model.record.masks)[0]

    def previews_of_grid(self, workdir: Path, grid: Path, count: int) -> list[Path]:
        """The first `count` samples of a grid, rendered, as PNG files, each of which is written once.

        (Gradio writes pictures that it is given as arrays anew each time, even while a browser reads them.)

        Raises UserError: the photo is too small to be rendered from.
        """
        with self._turn:
            made = self._previews.setdefault((grid, runs.stamp(grid)), [])
            _forget(self._previews, _GRIDS)
            if len(made) < count:
                for image in _rendered_cells(workdir, grid, len(made), count):
                    made.append(self._folder() / "preview.png")
                    pictures.save_png(made[-1], image)
            return made[:count]

    def favourites(self, model: api.Model) -> Favourites:
        """The favourites of a run, as they are on the disk now."""
        with self._turn:
            return Favourites(model)

    def pack(
        self,
        model: api.Model,
        places: Sequence[Place],
        size: str,
        watched: Callable[[Iterable, int], Iterable] = lambda batches, count: batches,
    ) -> Path:
        """A zip of samples as files in the photo's own type, with their latents and how to draw them again.

        Args:
          size: "" as the network draws them, or what they are rendered at, see rendering.parse_size.
          watched: wraps the samples as they are made, such as in a progress bar.

        Raises UserError: no size, or the photo is too small to be rendered from.
        """
        folder = self._folder()
        z = np.stack([place.latents for place in places])
        with self._turn:
            batches = watched(model.rendered(len(z), size=size, latents=z), len(z)) if size else model.batches(z)
            # What is rendered gets its masks from the photo's own, which imported weights come without.
            masks = None if size and model.source().masks is None else model.record.masks
            sample_files.write_samples(folder / "samples", batches, len(z), model.record.format, mask_format=masks)
        names, steps = np.array([place.name for place in places]), np.full(len(z), model.step)
        np.savez(folder / LATENTS, names=names, latents=z, steps=steps)
        told = _how_to_draw_again(model, places, size)
        (folder / "how_they_were_made.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        target = folder / f"{_plain(model.workdir.name)}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            files = [*sorted((folder / "samples").glob("[!.]*")), folder / LATENTS, folder / "how_they_were_made.json"]
            for path in files:
                archive.write(path, path.relative_to(folder))
        return target

    def picture(self, model: api.Model, place: Place, size: str) -> list[Path]:
        """A PNG of one place and, where it has one, of its mask; see `pack` for `size`."""
        folder, name = self._folder(), _plain(place.name)
        made, mask_format = self._made(model, place, size), model.record.masks
        paths = [folder / f"{name}.png"]
        pictures.save_png(paths[0], pictures.viewable(pictures.to_uint8(made.images))[0])
        if _has_masks(made, mask_format):
            paths.append(folder / f"{name}_mask.png")
            mask_format.save(paths[1], made.masks[0])
        return paths

    def edit(self, model: api.Model, task: str, **options) -> list[np.ndarray]:
        """Pictures uint8 [H, W, 3] that an edit makes; see api.Model.edit."""
        with self._turn:
            return list(pictures.viewable(model.edit(task, **options)))

    def film(self, model: api.Model, start: Place, end: Place) -> Path:
        """An MP4 of the way from one place to another and back."""
        with self._turn:
            frames = model.interpolate(np.stack([start.latents, end.latents]), STEPS)
        _, mp4 = sample_files.write_animation(self._folder(), frames, _FRAMES_PER_SECOND)
        return mp4

    def _made(self, model: api.Model, place: Place, size: str) -> Samples:
        """One sample; see `pack` for `size`."""
        z = place.latents[None]
        with self._turn:
            return next(model.rendered(1, size=size, latents=z)) if size else model.draw(z)

    def _folder(self) -> Path:
        """A new folder for files of this process."""
        return Path(tempfile.mkdtemp(dir=self._files))


def enlarged(image: np.ndarray, side: int = 256) -> np.ndarray:
    """uint8 [H, W, 3]; a small picture by a whole factor and smoothly, so that its longer side comes near `side`."""
    times = side // max(image.shape[:2])
    if times < 2:
        return image
    height, width = image.shape[:2]
    return np.asarray(Image.fromarray(image).resize((width * times, height * times), Image.Resampling.BICUBIC))


def _has_masks(made: Samples, mask_format: MaskFormat | None) -> bool:
    """Of what is rendered for imported weights there are none, though their model makes masks."""
    return mask_format is not None and made.masks is not None


def _looked_at(made: Samples, mask_format: MaskFormat | None) -> np.ndarray:
    """uint8 [n, H, W, 3], or, of samples with masks, [n, H, 2 W + 2, 3]: each beside itself under its mask."""
    images = pictures.viewable(pictures.to_uint8(made.images))
    if not _has_masks(made, mask_format):
        return images
    return pictures.with_overlays(images, made.masks, mask_format.colours())


def _rendered_cells(workdir: Path, grid: Path, start: int, end: int) -> list[np.ndarray]:
    """Samples `start` to `end` of a grid, where it has so many, rendered: uint8 [H, W, 3]."""
    source, record = kept_input.load(workdir), layout.load_record(workdir)
    if source.channels > 3:
        raise UserError(f"a grid shows 3 of the {source.channels} channels")
    with Image.open(grid) as sheet:
        shown = pictures.pictures_of_grid(np.asarray(sheet), *sample_size(record.plan, record.source_size))
    if source.masks is not None:  # each sample stands beside itself under its mask
        shown = shown[::2]
    rough = shown[start:end, ..., : source.channels].astype(np.float32) / 127.5 - 1
    size = limited(source.size, PREVIEW_SIDE)
    made = rendering.of_arrays(rough, rough.shape[1:3], source, rendering.Rendering(size))
    return [pictures.viewable(pictures.to_uint8(one.images))[0] for one in made]


def _how_to_draw_again(model: api.Model, places: Sequence[Place], size: str) -> dict:
    # siv_jax.sample has a model that makes any size draw the size itself, and here it was rendered.
    command, options = ("siv_jax.render", ["--size", size]) if size else ("siv_jax.sample", [])
    again = command_text.shell(command, "--workdir", model.workdir, "--latents", LATENTS, *options)
    return {
        "run": model.workdir.name,
        "trained_on": model.record.source,
        "training_steps": model.step,
        "candidates": model.config.candidates,
        "samples": [place.name for place in places],
        "names": "seed4_7 is sample number 7 of seed 4; _strength is the factor of its latents",
        "to_draw_them_again": again,
    }


def _plain(name: str) -> str:
    """`name` with what may not stand in a file's name taken out."""
    return re.sub(r"[^\w.-]+", "_", name)[:100] or "run"


def _forget(kept: collections.OrderedDict, most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
