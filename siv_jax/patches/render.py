"""From a rough, small picture to a sharp one of any size, made of a photo's own patches.

    renderer = Renderer(photos, (188, 250), rough_size=(24, 32))     # photos: float32 [n, height, width, channels]
    pictures = renderer(rough)                                       # [m, 24, 32, channels] -> [m, 188, 250, channels]
    pictures, masks = Renderer(photos, size, rough_size=..., masks=photo_masks).with_masks(rough)
    rough = noise(photos, (24, 32), seed=0, numbers=range(20))       # rough pictures without any model

Values are in [-1, 1]. From coarse to fine, every patch of the picture finds a patch of the photo (`match`) and each
pixel becomes the mean of the patches that cover it (`vote`). At coarse levels the search is exact; its cost grows with
the square of the area, so that fine levels of a CPU only look where the coarser level's matches point to.
"""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from siv_jax.errors import UserError
from siv_jax.patches import border, match, pyramid, vote
from siv_jax.patches.compiled import compiled

DEFAULT_FIDELITY = 7.0
NOISE_STD = 2.0
"""By measurement at 32x24 on three photos: with 0.75 almost every patch stays in its place (0.92 to 0.98 of them), with
2 about half do (0.34 to 0.62) and new arrangements appear; with 3 (0.19 to 0.29) objects begin to float and blur."""

_START = 28.0
_RATIO = 0.75
_ROUNDS = (3, 2)
_AXES = 32
_SIMILAR = 2
_APART = 4
_EXACT_PAIRS = {"cpu": 2**24, "gpu": 2**32, "tpu": 2**32}

Array = jax.Array


class Settings(NamedTuple):
    """Choices of a rendering beside its sizes; see Renderer."""

    start: float = _START
    ratio: float = _RATIO
    exact_pairs: int | None = None


class Renderer:
    """Renders rough pictures of one size as pictures of another, made of the patches of one photo or of several frames.

    Unless said otherwise the photo is used at the largest scale at which it fits in the picture, so that a picture of
    another aspect extends it. Of several frames all are used where they have no more pixels than four times the
    picture; else each sample is made of the nearest one.

    Args:
      photos: float32 [n, height, width, channels] in [-1, 1], 1 to 8 channels: one photo, or frames of a clip.
      size: height and width of the rendered pictures.
      rough_size: height and width of the rough pictures.
      fidelity: how strongly every part of the photo must be used: alpha of the completeness score is 10^-fidelity.
      scale: pixels of the rendered pictures per pixel of the photo; None: so that the photo fits.
      masks: integers [n, height, width], a label a pixel, for `with_masks`.

    Raises:
      UserError: sizes or arrays that cannot be rendered.
    """

    def __init__(
        self,
        photos: np.ndarray,
        size: tuple[int, int],
        *,
        rough_size: tuple[int, int],
        fidelity: float = DEFAULT_FIDELITY,
        scale: float | None = None,
        masks: np.ndarray | None = None,
        settings: Settings = Settings(),
    ):
        photos = _checked(photos, masks)
        height, width = photos.shape[1:3]
        scale = scale or min(size[0] / height, size[1] / width)
        start = min(settings.start, math.sqrt(rough_size[0] * rough_size[1]))
        self.levels = pyramid.level_sizes(size, (height, width), scale=scale, start=start, ratio=settings.ratio)
        self.rough_size, self.settings, self.alpha = tuple(rough_size), settings, 10.0**-fidelity
        small = len(photos) * height * width * scale**2 <= 4 * size[0] * size[1]
        self.frames = len(photos) if small else 1
        self._photos = [pyramid.resize((photos + 1) / 2, level.photo) for level in self.levels]
        self._range = photos.min((0, 1, 2)), photos.max((0, 1, 2))
        self._looks = pyramid.resize(self._photos[0], self.levels[0].output)
        self._masks = None if masks is None else pyramid.resize_labels(np.asarray(masks), self.levels[-1].photo)
        self._of_frames = functools.lru_cache(maxsize=4)(self._prepare)

    def __call__(self, rough: np.ndarray) -> np.ndarray:
        """[m, h, w, channels] in [-1, 1] -> float32 [m, height, width, channels], within the photo's range.

        Samples are rendered one after the other, so that any number of them takes the same memory and programs.
        """
        return self._stacked(picture for picture, *_ in self._rendered(rough))

    def with_masks(self, rough: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rendered pictures and their masks [m, height, width], of the type of the photo's masks."""
        if self._masks is None:
            raise UserError("the renderer was made without masks of the photo")
        pictures, labels = [], []
        for picture, frames, field, weight in self._rendered(rough):
            pictures.append(picture)
            labels.append(_label_vote(self._masks[list(frames)], field, weight))
        empty = np.empty((0, *self.levels[-1].output), self._masks.dtype)
        return self._stacked(pictures), np.concatenate([empty, *(label[None] for label in labels)])

    def with_matches(self, rough: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rendered pictures, and what they are made of: int32 [m, height, width, 3].

        That is the frame, the row and the column of the photo at the last level that each pixel takes.
        """
        pictures, found = [], []
        for picture, frames, field, _ in self._rendered(rough):
            field = np.array(field)
            field[..., 0] = np.asarray(frames, np.int32)[field[..., 0]]
            pictures.append(picture)
            found.append(field)
        return self._stacked(pictures), np.stack(found)

    def exact_at(self, level: pyramid.Level) -> bool:
        """Whether the search is exact: at the first level, and where the device can hold the pairs of patches."""
        limit = self.settings.exact_pairs or _EXACT_PAIRS[jax.default_backend()]
        return level is self.levels[0] or math.prod((*level.output, *level.photo, self.frames)) <= limit

    def _rendered(self, rough: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, ...], Array, Array]]:
        """Of each rough picture: its rendering in [-1, 1], the frames it is made of, the matches and their weights."""
        rough = np.asarray(rough, np.float32)
        channels = self._photos[0].shape[-1]
        if rough.ndim != 4 or rough.shape[1:] != (*self.rough_size, channels):
            raise UserError(
                f"rough pictures have the shape {list(rough.shape)}: "
                f"the renderer was made for [m, {self.rough_size[0]}, {self.rough_size[1]}, {channels}]"
            )
        for query in pyramid.resize((rough + 1) / 2, self.levels[0].output):
            frames = self._nearest(query)
            picture, field, weight = self._render(query, self._of_frames(frames))
            yield np.clip(np.asarray(picture) * 2 - 1, *self._range), frames, field, weight

    def _stacked(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        empty = np.empty((0, *self.levels[-1].output, self._photos[0].shape[-1]), np.float32)
        return np.concatenate([empty, *(picture[None] for picture in pictures)])

    def _nearest(self, query: np.ndarray) -> tuple[int, ...]:
        distances = np.mean((self._looks - query) ** 2, axis=(1, 2, 3))
        return tuple(sorted(np.argsort(distances, kind="stable")[: self.frames].tolist()))

    def _prepare(self, frames: tuple[int, ...]) -> "Source":
        """The frames on the device at every level, and what fast levels need of them."""
        photos = tuple(jnp.asarray(border.framed(photo[list(frames)])) for photo in self._photos)
        fast = [not self.exact_at(level) for level in self.levels]
        if not any(fast):
            return Source(photos, None)
        known = photos[max(0, fast.index(True) - 1)]
        return Source(photos, _known(known, count=min(_AXES, pyramid.PATCH**2 * known.shape[-1])))

    def _render(self, query: np.ndarray, source: "Source") -> tuple[Array, Array, Array]:
        alpha = jnp.float32(self.alpha)
        field, weight = _first(query, source.photos[0], alpha, rounds=_ROUNDS[0])
        for level, photo in zip(self.levels[1:], source.photos[1:], strict=True):
            known = None if self.exact_at(level) else source.known
            field, weight = _finer(field, weight, photo, known, alpha, size=level.output, rounds=_ROUNDS[1])
        return _vote(source.photos[-1], field, weight), field, weight


class Known(NamedTuple):
    """Axes of patches and table of similar patches, of `match.basis` and `match.similar`."""

    axes: Array
    similar: Array


class Source(NamedTuple):
    """Framed photos on the device, [k, h + 6, w + 6, c + 1] a level; `known` is None where every level is exact."""

    photos: tuple[Array, ...]
    known: Known | None


def noise(photos: np.ndarray, size: tuple[int, int], *, seed: int, numbers: Sequence[int]) -> np.ndarray:
    """Rough pictures without a model, as GPNN begins: a frame at `size` (height, width) plus noise of std `NOISE_STD`.

    Sample `number` of `seed` is the same in every call. Returns float32 [len(numbers), height, width, channels].
    """
    small = pyramid.resize(np.asarray(photos, np.float32), size)
    made = []
    for number in numbers:
        random = np.random.default_rng([seed, number])
        frame = small[random.integers(len(small))]
        made.append(frame + NOISE_STD * random.standard_normal(frame.shape, np.float32))
    return np.stack(made)


def _checked(photos: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    photos = np.asarray(photos, np.float32)
    if photos.ndim != 4 or not len(photos) or not 1 <= photos.shape[-1] <= 8:
        raise UserError(f"photos have the shape {list(photos.shape)}: expected [n, height, width, 1 to 8 channels]")
    if masks is not None and masks.shape != photos.shape[:3]:
        raise UserError(f"masks have the shape {list(masks.shape)}: expected {list(photos.shape[:3])}, as the photos")
    return photos


@compiled("rounds")
def _first(query, photo, alpha, *, rounds):
    """Matches and weights at the coarsest level, found among all patches for the rough picture itself."""
    search = _searcher(photo, None, alpha)

    def improve(state, _):
        field, weight = search(state[0], None)
        return (border.unframed(vote.vote(photo, field, weight)), field, weight), None

    size = query.shape[:2]
    start = query, jnp.zeros((*size, 3), jnp.int32), jnp.zeros(size, photo.dtype)
    return lax.scan(improve, start, length=rounds)[0][1:]


@compiled("size", "rounds")
def _finer(field, weight, photo, known, alpha, *, size, rounds):
    """Matches and weights at a level from those of the coarser level before it; `known` is None for an exact search."""
    search = _searcher(photo, known, alpha)
    grid = tuple(side - pyramid.PATCH + 1 for side in photo.shape[1:3])

    def improve(state, _):
        return search(border.unframed(vote.vote(photo, *state)), state[0]), None

    return lax.scan(improve, match.carry(field, weight, size, grid), length=rounds)[0]


def _searcher(photo, known, alpha):
    """The search of one level: a function of a picture and of its present matches, to matches and weights."""
    if known is None:
        keys = match.patches(photo)

        def search(picture, _):
            field, d = match.exact(match.patches(border.framed(picture[None]))[0], keys, alpha)
            return field, vote.weights(d)

        return search
    keys = match.describe(photo, known.axes)

    def search(picture, field):
        query = match.describe(border.framed(picture[None]), known.axes)[0]
        field, d = match.refine(query, keys, field, known.similar, alpha, len(known.axes))
        return field, vote.weights(d)

    return search


@compiled("count")
def _known(photo, *, count):
    axes = match.basis(photo, count)
    return Known(axes, match.similar(match.describe(photo, axes), _SIMILAR, _APART))


@compiled()
def _vote(photo, field, weight):
    return border.unframed(vote.vote(photo, field, weight))


def _label_vote(masks: np.ndarray, field: Array, weight: Array) -> np.ndarray:
    """The label with the largest sum of weights among the patches that cover each pixel."""
    best, chosen = None, None
    for label in np.unique(masks):
        there = border.framed(np.asarray(masks == label, np.float32)[..., None])
        share = np.asarray(_vote(there, field, weight))[..., 0]
        if best is None:
            best, chosen = share, np.full(share.shape, label, masks.dtype)
        else:
            chosen[share > best] = label
            best = np.maximum(best, share)
    return chosen
