"""Pictures made of the photo's own patches, for models whose networks take no picture."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from siv_jax.apply import palette
from siv_jax.apply.pictures import Size
from siv_jax.data import Source
from siv_jax.data.resize import limited
from siv_jax.patches import pyramid
from siv_jax.patches.render import Settings
from siv_jax.sampling import rendering

# Longer side of pictures where no size is given.
_LONGEST = 1024
_NOISE = 0.2  # standard deviation of what makes variants of it differ, of values in [-1, 1]
# How strongly every patch of the photo must be used, see Renderer. Little: patches that an edit covers up are not to
# come back, and at 3 and more fragments of them were pasted into wider pictures.
_FIDELITY = {"edit": 0.0, "paint": 0.0, "retarget": 2.0}
# Geometric mean of the sides of the rough picture in which patches are looked for first: the larger, the more of what
# was given stays as it is.
_START = {"edit": 50.0, "paint": 28.0, "retarget": 28.0}


def wanted_size(source: Source, size: str | None, longest: int = _LONGEST) -> Size:
    """(height, width) that `size` asks for; where it is None the photo's, of at most `longest` pixels."""
    return limited(source.size, longest) if size is None else rendering.parse_size(size, source.size)


def rendered(
    task: str, images: Iterable[np.ndarray], source: Source, size: Size, seed: int, scale: float | None = None
) -> Iterator[np.ndarray]:
    """Pictures float32 [*size, C] of images [h, w, C], to which noise is added, another for each number of `seed`.

    Args:
      scale: of the photo's parts in the pictures, at most 1; None: so that the photo fits in them.

    Raises:
      UserError: the photo is too small to be rendered from.
    """
    shrink = min(1.0, _START[task] / (size[0] * size[1]) ** 0.5)
    small = tuple(max(8, round(side * shrink)) for side in size)

    def noisy(number: int, image: np.ndarray) -> np.ndarray:
        rough = pyramid.resize(image[None], small)[0]
        return rough + _NOISE * np.random.default_rng([seed, number]).standard_normal(rough.shape, np.float32)

    wanted = rendering.Rendering(size, _FIDELITY[task], settings=Settings(start=_START[task]), scale=scale)
    made = rendering.of_arrays(itertools.starmap(noisy, enumerate(images)), small, source, wanted)
    return (one.images[0] for one in made)


def recoloured(image: np.ndarray, mask: np.ndarray, photo: np.ndarray, seed: int, count: int) -> Iterator[np.ndarray]:
    """Variants 0 to `count` of `seed` of image [h, w, C] with what mask [h, w] marks in the photo's colours."""
    for number in range(count):
        yield palette.recoloured(image, mask, photo, np.random.default_rng([seed, number]))
