"""Whether the system refused to read a checkpoint, which is no damage."""

import errno
import os
from pathlib import Path

# What the system says where a file is there and cannot be read, for now at least.
_REFUSALS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE)


def refused(error: Exception, checkpoint: Path) -> str:
    """Why the system refused to read a checkpoint that may well be whole; empty where that is not what went wrong."""
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return os.strerror(error.errno)
    # Of TensorStore's errors the text alone tells it.
    said = next((os.strerror(code) for code in _REFUSALS if os.strerror(code) in str(error)), "")
    return said or _closed(checkpoint)


def _closed(checkpoint: Path) -> str:
    """Why a file or folder in `checkpoint` cannot be opened, which Orbax takes for one that is missing; else empty."""

    def fail(error: OSError) -> None:
        raise error

    try:
        for place, _, names in os.walk(checkpoint, onerror=fail):
            for name in names:
                open(os.path.join(place, name), "rb").close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno in _REFUSALS else ""
    return ""
