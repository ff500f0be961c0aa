"""The memory that this system, or the container that the process runs in, can still give."""

from collections.abc import Iterator
from pathlib import Path

import psutil

# Where the two versions of Linux's control groups keep a group's limit, its use, and the part of its use that is files
# in the cache, which the system takes back when asked for memory.
_UNIFIED = ("memory.max", "memory.current", "memory.stat", "inactive_file")
_MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file")


def available(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes; in none of the control groups that the process is in is less left.

    Args:
      groups: where the system shows its groups.
      own: names those of the process.
    """
    free = psutil.virtual_memory().available
    for folder, (limit_file, used_file, stat_file, cached) in _groups_of_process(groups, own):
        try:
            limit, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit_file, used_file))
            stat = dict(line.split() for line in (folder / stat_file).read_text(encoding="ascii").splitlines())
        except (OSError, ValueError):  # no group of this version, or one without a limit, which reads "max"
            continue
        free = min(free, max(0, limit - used + int(stat.get(cached, 0))))
    return free


def _groups_of_process(groups: Path, own: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folder and names of files of each group that the process is in, and of the groups around it.

    A container often sees its own group as the outermost one, and the name that it has outside of it.
    """
    try:
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # another system than Linux, or a container that hides it
        lines = ["0::/", "1:memory:/"]
    for number, kinds, name in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if (number, kinds) == ("0", ""):
            outermost, files = groups, _UNIFIED
        elif "memory" in kinds.split(","):
            outermost, files = groups / "memory", _MEMORY
        else:
            continue
        inner = Path(name.strip("/"))
        yield from ((outermost / folder, files) for folder in (inner, *inner.parents))
