"""What crash.py and its cases share: a command in a forked process, and what it leaves, to be compared bit for bit.

Children are forked from a process that has imported everything, so that a start takes a second.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import toy_runs

from siv_jax.cli import process

_KEPT = {".samples.json"}  # hidden files that are not being written
_LONGEST = 300.0  # seconds after which a start is said to hang
# What the clock and the memory say.
_MEASURED = {"seconds", "steps_per_second", "drawing_seconds", "cpu_seconds", "peak_bytes", "minutes", "memory_mb"}
# Pages, events, what was said and the text of tables tell the time, too.
_UNLIKE = {"tensorboard", "log.txt", "summary.json", "training.png", ".lock"}
_UNLIKE |= {"mine_small.txt", "mine_small.md", "mine_small.tex"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A command: `make` gives its arguments for the folder that it writes, `run` runs them.

    cold: programs compile anew, into a folder beside the command's.
    whole: it is killed together with the processes that it has started, which would go on without it.
    """

    run: Callable[[list[str]], int | None]
    make: Callable[[Path], list[str]]
    cold: bool = False
    whole: bool = False

    def start(self, folder: Path) -> "Child":
        compiled = folder.parent / "compiled" if self.cold else None
        return Child(functools.partial(self.run, self.make(folder)), folder.parent / "output.txt", compiled)


class Child:
    """A forked process that runs a command as `process.run` does, what it says in a file that is begun anew."""

    def __init__(self, run: Callable[[], int | None], output: Path, compiled: Path | None = None):
        sys.stdout.flush(), sys.stderr.flush()  # else the child says it again
        self.pid, self._status, self.output = os.fork(), None, output
        if self.pid:
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1), os.dup2(file, 2)
        if compiled:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(compiled)
            import jax

            jax.config.update("jax_compilation_cache_dir", str(compiled))
        code = 1
        with contextlib.suppress(BaseException):
            try:
                process.run(lambda _: run())
            except SystemExit as leaving:
                code = int(leaving.code or 0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(code)

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self) -> int:
        end = time.monotonic() + _LONGEST
        while self.ended() is None and time.monotonic() < end:
            time.sleep(0.005)
        if self._status is None:
            self.kill(whole=True)
        return self._status

    def kill(self, whole: bool) -> None:
        """Kills it, and the processes that it has started, if `whole`; else those find out by themselves."""
        others = psutil.Process(self.pid).children(recursive=True) if whole else []
        os.kill(self.pid, signal.SIGKILL)
        for other in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def said(self) -> str:
        return self.output.read_text(errors="replace")


def digests(folder: Path) -> dict[str, str]:
    """`_contents`, found by a child: reading checkpoints starts JAX, after which forking is not safe."""
    found = folder.parent / "digests.json"
    child = Child(lambda: found.write_text(json.dumps(_contents(folder))) * 0, folder.parent / "digests.txt")
    if child.wait() != 0:
        raise SystemExit(f"{folder} cannot be read: {child.said()[-500:]}")
    return json.loads(found.read_text())


def _contents(folder: Path) -> dict[str, str]:
    """A digest of everything that must be the same in the end, by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name, inside = str(path.relative_to(folder)), set(path.relative_to(folder).parts)
        # Orbax's files are compared by the arrays in them.
        skipped = inside & (_UNLIKE | {"checkpoints"}) or path.suffix in (".html", ".lock")
        if path.is_file() and not skipped:
            found[name] = hashlib.sha256(_timeless(path, folder)).hexdigest()
        if path.name == "checkpoints":
            arrays = b"".join(np.asarray(leaf).tobytes() for leaf in toy_runs.arrays(path.parent))
            # The newest alone: a command whose parent was killed stops, which leaves a checkpoint more.
            found[f"{name}: {toy_runs.steps_in(path.parent)[-1]}"] = hashlib.sha256(arrays).hexdigest()
    return found


def _timeless(path: Path, folder: Path) -> bytes:
    """The content of a file without what the clock says, and without the folder's own name."""
    data = path.read_bytes()
    if path.name == "scalars.jsonl":
        return json.dumps(toy_runs.logged(path.parent)).encode()
    if path.suffix == ".json":
        return json.dumps(_without_times(json.loads(data))).replace(str(folder), "").encode()
    return data


def _without_times(values: object) -> object:
    if isinstance(values, dict):
        return {key: _without_times(value) for key, value in values.items() if key not in _MEASURED}
    return [_without_times(value) for value in values] if isinstance(values, list) else values


def writing(folder: Path) -> bool:
    """Whether a checkpoint or a file is being written there."""
    try:
        names = [path.name for path in folder.rglob("*")]
    except OSError:  # what was there a moment ago is gone
        return False
    hidden = (name for name in names if name.startswith(".") and name not in _KEPT and not name.endswith(".lock"))
    return any(hidden) or any("checkpoint-tmp" in name for name in names)
