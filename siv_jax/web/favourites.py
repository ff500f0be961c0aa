"""Favourites of a run: samples that were kept, with their latents and pictures.

WORKDIR/favourites/ holds NAME.png of each and favourites.npz: `names`, `latents` [n, ...] float32 and
`steps`, the training steps of the model that drew them. python -m siv_jax.sample --latents takes that file.
"""

import itertools
import re
from pathlib import Path

import numpy as np

from siv_jax.data.decoding import one_line
from siv_jax.data.files import numpy_file
from siv_jax.errors import UserError
from siv_jax.sampling import pictures
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.web.places import Place
from siv_jax.workdir.layout import write_atomically

FOLDER, FILE = "favourites", "favourites.npz"
_NAME = re.compile(r"\w[\w.-]{0,199}", re.ASCII)


class Favourites:
    """The favourites of one model, as its workdir holds them."""

    def __init__(self, model: TrainedModel):
        """Reads what is there. Raises UserError: favourites.npz is damaged, or of a model with other latents."""
        self.folder = model.workdir / FOLDER
        self._model = model
        self._kept: dict[str, tuple[np.ndarray, int]] = {}
        path = self.folder / FILE
        if not path.exists():
            return
        try:
            with numpy_file(path, FILE), np.load(path, allow_pickle=False) as file:
                names, latents, steps = (file[name] for name in ("names", "latents", "steps"))
            model.check_latents(latents)
            for name, z, step in zip(names, latents, steps, strict=True):
                self._kept[_checked(str(name))] = z, int(step)
        except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
            raise UserError(f"{path} cannot be read: {one_line(error)}; move it away") from None

    def places(self) -> list[Place]:
        """In the order in which they were kept."""
        return [Place(name, z) for name, (z, _) in self._kept.items()]

    def add(self, place: Place) -> None:
        """Draws and writes a favourite, unless it is there; under NAME-2, ... where others have its name."""
        if self._name_of(place) is not None:
            return
        base = _checked(place.name)
        names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._kept)
        image = pictures.viewable(pictures.to_uint8(self._model.generate(place.latents[None])))[0]
        self.folder.mkdir(exist_ok=True)
        pictures.save_png(self.picture(_checked(name)), image)
        self._kept[name] = place.latents, self._model.step
        self._write()

    def remove(self, place: Place) -> None:
        """Deletes a favourite and its picture. Raises UserError: it is none."""
        name = self._name_of(place)
        if name is None:
            raise UserError(f"there is no favourite {place.name[:80]!r}")
        del self._kept[name]
        self._write()
        self.picture(name).unlink(missing_ok=True)

    def picture(self, name: str) -> Path:
        """Where its picture lies."""
        return self.folder / f"{name}.png"

    def _name_of(self, place: Place) -> str | None:
        """The name under which a place is kept, which is mostly its own; None: it is not."""
        same = [name for name, (z, _) in self._kept.items() if np.array_equal(z, place.latents)]
        return place.name if place.name in same else next(iter(same), None)

    def _write(self) -> None:
        if not self._kept:
            (self.folder / FILE).unlink()
            return
        latents, steps = zip(*self._kept.values(), strict=True)
        arrays = {"names": np.array(list(self._kept)), "latents": np.stack(latents), "steps": np.array(steps)}
        write_atomically(self.folder / FILE, lambda file: np.savez(file, **arrays))


def _checked(name: str) -> str:
    """The name, which becomes that of a file. Raises UserError: it is none."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name[:80]!r} is no name of a favourite")
    return name
