"""From the path in the config to a file or folder that is safe to open."""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from siv_jax.data.decoding import one_line
from siv_jax.errors import UserError

ARRAY_SUFFIXES = frozenset((".npy", ".tif", ".tiff"))
FRAME_SUFFIXES = ARRAY_SUFFIXES.union(
    (".apng", ".avif", ".avifs", ".bmp", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe"),
    (".jpeg", ".jpg", ".jpx", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".webp"),
)
CLIP_SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))
_HOLDS_OBJECTS = "holds pickled Python objects, which are not loaded: save it with numpy.save(..., allow_pickle=False)"

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def resolve(path: str) -> tuple[Path, bool]:
    """The path as given, with ~ expanded, and whether it is a folder.

    Raises UserError: nothing there, nothing that may be read, or neither a file nor a folder. Pipes, sockets and
    devices are never opened: that could wait for ever.
    """
    if not path.strip():
        raise UserError("data.path is empty: name a picture, a clip, a folder of frames or an array")
    if re.match("[a-z]+://", path):
        raise UserError(f"{one_line(path)} is an address: download it first and name the file")
    found = Path(os.path.expanduser(path))
    try:
        mode = os.stat(found).st_mode
    except FileNotFoundError:
        raise UserError(f"{one_line(found)} does not exist") from None
    except (OSError, ValueError) as error:
        raise UserError(_refusal(found, error)) from None
    if stat.S_ISDIR(mode):
        return found, True
    if not stat.S_ISREG(mode):
        raise UserError(f"{one_line(found)} is a pipe, a socket or a device: name a file or a folder")
    return found, False


def sniff(path: Path) -> str:
    """What the first bytes of a file say: 'npy', 'tiff', or 'other' for pictures and clips.

    Raises UserError: the file is empty, cannot be opened, or is not what its name says; or it is a HEIC picture and
    pillow-heif is not installed.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(32)
    except OSError as error:
        raise UserError(_refusal(path, error)) from None
    name = one_line(path.name)
    if not head:
        raise UserError(f"{name} is empty (0 bytes)")
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(_TIFF_MAGIC):
        return "tiff"
    if head.startswith(b"\x80") and path.suffix.lower() == ".npy":
        raise UserError(f"{name} {_HOLDS_OBJECTS}")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        raise UserError(f"{name} does not begin like a {path.suffix.lower()} file: damaged or of another kind")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and b"avif" not in head:
        try:
            import pillow_heif
        except ImportError:
            raise UserError(f"{name} is a HEIC picture: pip install 'siv_jax[heic]', or save it as JPEG") from None
        pillow_heif.register_heif_opener()
    return "other"


def no_utf8(path: str) -> str:
    """In one line what to do about a path that Python cannot encode: its bytes may be UTF-8, and the locale another."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:  # no bytes of a file name, but a text of Python's
        name = path.encode("utf-8", "surrogatepass")
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        shown = name.decode("utf-8", "backslashreplace")
        return f"{shown} is no UTF-8: rename the file or folder of that name"
    encoding = sys.getfilesystemencoding()
    return f"{one_line(name.decode())} has letters that this locale, of {encoding}, lacks: set PYTHONUTF8=1"


@contextlib.contextmanager
def numpy_file(path: Path, name: str) -> Iterator[None]:
    """Around numpy's reading of `path`: numpy takes files that it does not know for pickled, and says how to load them.

    Raises UserError: Python objects, which are never loaded, or no file of numpy's.
    """
    try:
        yield
    except ValueError as error:
        with open(path, "rb") as file:
            pickled = file.read(1) == b"\x80"
        if pickled or re.search("Object arrays|Python objects", str(error)):
            raise UserError(f"{name} {_HOLDS_OBJECTS}") from None
        if "pickled" in str(error):
            raise UserError(f"{name} does not begin like a file of numpy: damaged or of another kind") from None
        raise


def _refusal(path: Path, error: Exception) -> str:
    reason = one_line(getattr(error, "strerror", None) or error)
    return f"{one_line(path)} cannot be opened: {reason[:1].lower()}{reason[1:]}"
