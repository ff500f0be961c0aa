"""What was painted on the photo, as the pictures and masks that an edit takes."""

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.sampling import pictures
from siv_jax.workdir import kept_input

# Longer side of the photo that is painted on, in pixels.
SIDE = 768


def photo(workdir) -> np.ndarray:
    """The photo, or the first frame of the clip, of a run: uint8 [H, W, 3], brought down to a longer side of SIDE.

    Raises UserError: it has other than 3 channels, or the run has none.
    """
    return shown(kept_input.load(workdir))


def shown(source: Source) -> np.ndarray:
    """The first frame to paint on: uint8 [H, W, 3], brought down to a longer side of SIDE.

    Raises UserError: it has other than 3 channels.
    """
    if source.channels != 3:
        raise UserError(f"only colour pictures can be painted on: {source.name} has {source.channels} channels")
    frame = source.resized(*limited(source.size, SIDE))[0]
    return frame if frame.dtype == np.uint8 else pictures.to_uint8(frame)


def painted(canvas: dict | None) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the paint on it, uint8 [H, W, 3], and where there is paint, bool [H, W].

    Args:
      canvas: of Gradio's editor: `composite` and `layers`, each RGBA uint8 [H, W, 4].

    Raises UserError: nothing is painted.
    """
    if not canvas or canvas.get("composite") is None:
        raise UserError("load the photo first")
    marked = np.zeros(canvas["composite"].shape[:2], bool)
    for layer in canvas["layers"]:
        marked |= layer[..., 3] > 0
    if not marked.any():
        raise UserError("paint on the photo first")
    return np.ascontiguousarray(canvas["composite"][..., :3]), marked


def copied(image: np.ndarray, marked: np.ndarray, right: float, down: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture with its marked piece once more at another place, and where that is.

    Args:
      image: uint8 [H, W, 3]. marked: bool [H, W].
      right, down: how far away, in shares of the width and of the height; negative to the left and up. What comes to
        lie outside is cut off.

    Raises UserError: nothing of it is left inside.
    """
    height, width = marked.shape
    rows, columns = np.nonzero(marked)
    to_rows, to_columns = rows + round(down * height), columns + round(right * width)
    inside = (to_rows >= 0) & (to_rows < height) & (to_columns >= 0) & (to_columns < width)
    if not inside.any():
        raise UserError("the piece would lie outside of the picture: move it less far")
    moved, where = image.copy(), np.zeros_like(marked)
    moved[to_rows[inside], to_columns[inside]] = image[rows[inside], columns[inside]]
    where[to_rows[inside], to_columns[inside]] = True
    return moved, where
