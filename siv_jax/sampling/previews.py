"""Small renderings of draws, which tell what large ones will be like, at a seventh of the cost of 250x188 pixels."""

from typing import NamedTuple

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.patches import moved
from siv_jax.patches.render import Renderer
from siv_jax.sampling import rendering, views

# Geometric mean of the sides of a small rendering, and longer side of the photo that it is made of at most: as sharp as
# that of other renderings, or other copies would be told.
_SIDE = 36.0
_PHOTO = 256
# Pixels by which a preview may be moved to be compared with the photo.
_MOVED = 2


class Preview(NamedTuple):
    """A small rendering [h, w, C] of one draw, and what it tells.

    off: how much its colours differ from those of the photo in their shares: the mean distance of values of equal rank.
    copied: the share of it that is the photo, moved as a whole; 0 of a clip, which has no layout of its own to copy.
    apart: mean squared difference from the photo, or from the part of it that the sample would show, whichever is less;
      infinite for a clip.
    """

    picture: np.ndarray
    off: float
    copied: float
    apart: float


class TooSmall(UserError):
    """A picture that has no patches."""


class Previews:
    """Small renderings from the patches of `source`, for drawn images of (height, width) `rough_size`.

    Raises:
      TooSmall: the source is too small to be rendered from.
    """

    def __init__(self, source: Source, rough_size: tuple[int, int]):
        scale = _SIDE / (source.size[0] * source.size[1]) ** 0.5
        self.size = tuple(max(8, round(scale * side)) for side in source.size)
        photos = rendering.as_float(source.resized(*limited(source.size, _PHOTO)), source.format)
        try:
            self._renderer = Renderer(photos, self.size, rough_size=rough_size)
        except UserError as error:
            raise TooSmall(str(error)) from None
        self._frames = source.num_frames
        small = rendering.as_float(source.resized(*self.size), source.format)
        self._photo, colours = small[0], _ranked(small)
        self._colours = colours[self._frames // 2 :: self._frames]  # of as many ranks as a rendering has

    def __call__(self, image: np.ndarray, latents: np.ndarray) -> Preview:
        """Of a drawn image [h, w, C] and its latents; not finite where the image is not."""
        if not np.isfinite(image).all():
            return Preview(np.full((*self.size, image.shape[-1]), np.nan, np.float32), np.inf, 1.0, 0.0)
        pictures, matches = self._renderer.with_matches(views.seen(image, latents)[None])
        off = float(np.abs(_ranked(pictures) - self._colours).mean())
        if self._frames > 1:
            return Preview(pictures[0], off, 0.0, np.inf)
        apart = min(_apart(pictures[0], photo) for photo in (self._photo, views.seen(self._photo, latents)))
        return Preview(pictures[0], off, moved.share(matches[0]), apart)


def _apart(picture: np.ndarray, photo: np.ndarray) -> float:
    """Mean squared difference of two pictures [h, w, C], one moved by up to `_MOVED` pixels so that it is least."""
    inner = photo[_MOVED:-_MOVED, _MOVED:-_MOVED]
    moved_pictures = np.lib.stride_tricks.sliding_window_view(picture, inner.shape)
    return float(((moved_pictures - inner) ** 2).mean(axis=(-3, -2, -1)).min())


def _ranked(pictures: np.ndarray) -> np.ndarray:
    """[n, h, w, C] -> [n h w, C], each channel in the order of its values."""
    return np.sort(pictures.reshape(-1, pictures.shape[-1]), axis=0)
