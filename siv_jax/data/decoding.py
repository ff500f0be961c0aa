"""The border to the decoding libraries: whatever they raise or warn becomes one clear line."""

import contextlib
import warnings
from collections.abc import Iterator

from siv_jax.data.notes import Notes
from siv_jax.errors import UserError

# Larger frames are refused before they are decoded: 50 million pixels are 150 MB as 8-bit RGB.
MAX_PIXELS = 50_000_000


def one_line(text: object, limit: int = 300) -> str:
    """`text` without line breaks and control characters, cut after `limit` characters."""
    line = " ".join(str(text).split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextlib.contextmanager
def decoding(name: str, notes: Notes) -> Iterator[None]:
    """Runs decoder calls on the file `name`; their warnings are added to `notes`, once each.

    Nothing of the package's own but decoder calls and UserErrors belongs inside: on damaged files decoders
    raise exceptions of nearly every class, so all of them are taken for damage.

    Raises:
      UserError: the block raised anything.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except UserError:
            raise
        except MemoryError:
            raise UserError(f"{name} asks for more memory than there is: too large or damaged") from None
        except (OSError, RuntimeError, ValueError) as error:
            reason = one_line(getattr(error, "strerror", None) or error) or type(error).__name__
            raise UserError(f"{name} cannot be read, it may be damaged or cut short: {reason}") from None
        except Exception:
            # The other texts mean nothing to a reader ("unpack requires a buffer of 4 bytes").
            raise UserError(f"{name} is damaged or cut short") from None
    for warning in caught:
        # Sizes are judged by `check_pixels`, once for all libraries.
        if warning.category.__name__ != "DecompressionBombWarning":
            notes.add(name, one_line(warning.message))


def check_pixels(name: str, height: int, width: int) -> None:
    """Refuses frames that are empty, or of more than `MAX_PIXELS` pixels.

    Raises:
      UserError: the frame is one of these.
    """
    if height < 1 or width < 1:
        raise UserError(f"{name} has no pixels: its size is {width}x{height}")
    if height * width > MAX_PIXELS:
        raise UserError(
            f"{name} has {width}x{height} pixels; at most {MAX_PIXELS // 10**6} million are read: scale it down first"
        )
