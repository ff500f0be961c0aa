"""Calls into the decoding libraries: whatever they raise or warn becomes one clear line."""

import contextlib
import importlib.metadata
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from siv_jax.data.notes import Notes
from siv_jax.errors import UserError

# Larger frames are refused before they are decoded: 200 million pixels are 600 MB as 8-bit RGB.
MAX_PIXELS = 200_000_000
# Raised by this package's own code, these are its mistakes; raised by a library, they may be, if it was called wrongly.
_MISTAKES = (AttributeError, KeyError, NameError, TypeError)


def one_line(text: object, limit: int = 300) -> str:
    """`text` without line breaks, control characters and bytes that are not UTF-8, cut after `limit` characters."""
    line = " ".join(str(text).split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextlib.contextmanager
def decoding(name: str, notes: Notes) -> Iterator[None]:
    """Runs decoder calls on the file `name`; what they warn of or log is added to `notes`, once each.

    Only decoder calls belong inside: on damaged files decoders raise exceptions of nearly every class.

    Raises UserError: the block raised anything.
    """
    with _logged(name, notes), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except UserError:
            raise
        except MemoryError:
            raise UserError(f"{name} asks for more memory than there is: too large or damaged") from None
        except ImportError as error:
            missing = re.search(r"No module named '(\w+)", str(error))
            package = missing[1] if missing else error.name or one_line(error)
            raise UserError(
                f"{name} needs a package that is not installed: pip install {package.replace('_', '-')}"
            ) from None
        except Exception as error:
            if isinstance(error, _MISTAKES):
                raise UserError(_mistake(name, error)) from None
            reason = one_line(getattr(error, "strerror", None) or error)
            if not isinstance(error, (OSError, RuntimeError, ValueError)) or not reason:
                # Texts such as that of a KeyError say nothing without the name of the class.
                reason = f"{type(error).__name__} {reason}".strip()
            raise UserError(f"{name} cannot be read, it may be damaged or cut short: {reason}") from None
    for warning in caught:
        # Sizes are judged by `check_pixels`, once for all libraries.
        if warning.category.__name__ != "DecompressionBombWarning":
            notes.add(name, one_line(warning.message))


def _mistake(name: str, error: Exception) -> str:
    """One line about an exception that may well be no fault of the file `name`."""
    calls = list(traceback.walk_tb(error.__traceback__))
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in calls]
    own = max(number for number, package in enumerate(packages) if package == "siv_jax")
    what = f"{type(error).__name__} {one_line(error)}".strip()
    if own == len(calls) - 1:
        frame, line = calls[own]
        place = f"{Path(frame.f_code.co_filename).name}, line {line}"
        return f"{name} cannot be read by a mistake of siv_jax, please report it: {what} ({place})"
    library = packages[own + 1]  # which siv_jax called, and which may have called others
    for distribution in importlib.metadata.packages_distributions().get(library, ())[:1]:
        library = f"{distribution} {importlib.metadata.version(distribution)}"
    return (
        f"{name} could not be read: {what} inside {library}; this may be a fault of siv_jax or of that package and not "
        "of the file: save it in another format, and please report this"
    )


@contextlib.contextmanager
def _logged(name: str, notes: Notes) -> Iterator[None]:
    """Turns what tifffile and imagecodecs log into notes."""

    def note(record: logging.LogRecord) -> bool:
        # The value for missing samples is read here, with ranges that tifffile does not admit.
        if "GDAL_NODATA" not in record.getMessage():
            notes.add(name, one_line(record.getMessage()))
        return False

    loggers = [logging.getLogger(library) for library in ("tifffile", "imagecodecs")]
    for logger in loggers:
        logger.addFilter(note)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(note)


def decoded(name: str, notes: Notes, frames: Iterator) -> Iterator:
    """The items of `frames`, each made under `decoding`, which does not hold while the caller works with them."""
    with contextlib.closing(frames):
        while True:
            with decoding(name, notes):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame


def check_pixels(name: str, height: int, width: int, limit: int = MAX_PIXELS) -> None:
    """Refuses frames that are empty, or of more than `limit` pixels. Raises UserError: the frame is one of these."""
    if height < 1 or width < 1:
        raise UserError(f"{name} has no pixels: its size is {width}x{height}")
    if height * width > limit:
        raise UserError(
            f"{name} has {width}x{height} pixels; at most {limit // 10**6} million are read: scale it down first"
        )
