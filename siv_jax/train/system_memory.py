"""The memory that this system, or the container that the process runs in, can still give."""

from pathlib import Path

import psutil

# Where the two versions of Linux's control groups keep a container's limit, its use, and the part of its use that is
# files in the cache, which the system takes back when asked for memory.
_GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def available(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes."""
    free = psutil.virtual_memory().available
    for limit_file, used_file, stat_file, cached in _GROUPS:
        try:
            limit, used = (int((groups / name).read_text(encoding="ascii")) for name in (limit_file, used_file))
            stat = dict(line.split() for line in (groups / stat_file).read_text(encoding="ascii").splitlines())
        except (OSError, ValueError):  # no container of this version, or one without a limit, which reads "max"
            continue
        free = min(free, max(0, limit - used + int(stat.get(cached, 0))))
    return free
