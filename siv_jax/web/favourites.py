"""Favourites of a run: places in the latent space that were kept, with their latents and pictures.

WORKDIR/favourites/ holds NAME.png of each and favourites.npz: `names`, `latents` [n, ...] float32 and
`steps`, the training steps of the model that drew them. python -m siv_jax.sample --latents takes that file.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from siv_jax.errors import UserError
from siv_jax.sampling import pictures
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.sampling.walk import walk
from siv_jax.workdir.layout import write_atomically

FOLDER, FILE = "favourites", "favourites.npz"
# Steps of a walk from one sample to another.
STEPS = 24
_NAME = re.compile(rf"seed(\d{{1,10}})_(\d{{1,9}})(?:-seed(\d{{1,10}})_(\d{{1,9}})-(\d{{1,2}})of{STEPS})?")


@dataclasses.dataclass(frozen=True)
class Place:
    """Sample `start`, as (seed, number), or step `step` of STEPS on the way from there to `end`."""

    start: tuple[int, int]
    end: tuple[int, int]
    step: int

    @classmethod
    def parse(cls, name: str) -> "Place":
        """The place named "seed0_3", or "seed0_3-seed0_7-10of24" on a way. Raises UserError: no such name."""
        found = _NAME.fullmatch(name)
        numbers = [int(number or 0) for number in found.groups()] if found else [2**32]
        if max(numbers[::2][:2]) >= 2**32 or numbers[-1] > STEPS:
            raise UserError(
                f"{name[:80]!r} is no place between samples, such as seed0_3 or seed0_3-seed0_7-10of{STEPS}"
            )
        start = numbers[0], numbers[1]
        return cls(start, (numbers[2], numbers[3]) if found[3] else start, numbers[4])


def way(model: TrainedModel, start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """Latents [STEPS + 1, ...] from one sample, as (seed, number), to another, both among them."""
    anchors = np.concatenate([model.latents(1, seed, number) for seed, number in (start, end)])
    return walk(anchors, STEPS)[: STEPS + 1]


class Favourites:
    """The favourites of one model, in memory and in its workdir."""

    def __init__(self, model: TrainedModel):
        """Reads what is there. Raises UserError: favourites.npz is damaged, or of a model with other latents."""
        self.folder = model.workdir / FOLDER
        self._model = model
        self._kept: dict[str, tuple[np.ndarray, int]] = {}
        path = self.folder / FILE
        if not path.exists():
            return
        try:
            with np.load(path, allow_pickle=False) as file:
                names, latents, steps = (file[name] for name in ("names", "latents", "steps"))
            model.check_latents(latents)
            for name, z, step in zip(names, latents, steps, strict=True):
                Place.parse(str(name))
                self._kept[str(name)] = z, int(step)
        except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
            raise UserError(f"{path} cannot be read: {error}; move it away") from None

    def names(self) -> list[str]:
        """In the order in which they were kept."""
        return list(self._kept)

    def add(self, name: str) -> None:
        """Draws and writes the favourite `name` (see Place.parse), unless it is there.

        Raises UserError: no such name.
        """
        place = Place.parse(name)
        if name in self._kept:
            return
        z = way(self._model, place.start, place.end)[place.step]
        image = pictures.viewable(pictures.to_uint8(self._model.generate(z[None])))[0]
        self.folder.mkdir(exist_ok=True)
        pictures.save_png(self.picture(name), image)
        self._kept[name] = z, self._model.step
        self._write()

    def remove(self, name: str) -> None:
        """Deletes a favourite and its picture. Raises UserError: there is none of that name."""
        if name not in self._kept:
            raise UserError(f"there is no favourite {name[:80]!r}")
        del self._kept[name]
        self._write()
        self.picture(name).unlink(missing_ok=True)

    def picture(self, name: str) -> Path:
        """Where its picture lies."""
        return self.folder / f"{name}.png"

    def _write(self) -> None:
        if not self._kept:
            (self.folder / FILE).unlink()
            return
        latents, steps = zip(*self._kept.values(), strict=True)
        arrays = {"names": np.array(self.names()), "latents": np.stack(latents), "steps": np.array(steps)}
        write_atomically(self.folder / FILE, lambda file: np.savez(file, **arrays))
