"""Latents from a file."""

from pathlib import Path

import numpy as np

from siv_jax.data.decoding import one_line
from siv_jax.data.files import numpy_file
from siv_jax.errors import UserError


def read_latents(path: Path) -> np.ndarray:
    """The array in an .npy file, or `latents` of an .npz file such as the favourites of siv_jax.app.

    Raises UserError: no such file, or no array of numbers in it.
    """
    try:
        with numpy_file(path, one_line(path)):
            found = np.load(path, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else found["latents"]
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception:  # a damaged file raises zipfile's, zlib's, tokenize's and numpy's errors
        raise UserError(f"{path} is not an .npy array of numbers, nor an .npz with latents") from None
