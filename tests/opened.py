"""Reading for the tests of siv_jax.data."""

from typing import NamedTuple

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import Source, open_source


class Opened(NamedTuple):
    """A source with its frames, [N,H,W,C] at full size, and what was noted once they had been decoded."""

    source: Source
    pixels: np.ndarray
    notes: tuple[str, ...]


def load(path, size: tuple[int, int] | None = None, **settings) -> Opened:
    """Everything of the source at `path`; its frames brought to `size` where that is given."""
    source = open_source(DataConfig(path=str(path), **settings))
    return Opened(source, source.resized(*(size or source.size)), source.notes.lines())
