"""The edge of every command: errors as one line with an exit code, and the place of compiled programs."""

import argparse
import contextlib
import errno
import functools
import numbers
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import platformdirs

from siv_jax.errors import DivergedError, UserError

# The option --labels, which two commands have.
LABELS = {
    "choices": ("coco", "voc"),
    "help": "of samples with masks: as a data set in COCO's form (annotations.json) or Pascal VOC's (folders)",
}
STOPPED_BY = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143, "SIGBREAK": 149}


def run(main: Callable[[list[str]], int | None]) -> None:
    """Runs `main(arguments)` as a process and exits with its code: 0, or 2 for input that cannot be used."""
    problem = None
    try:
        code = main(sys.argv[1:]) or 0
        sys.stdout.flush()
    except (UserError, DivergedError) as error:
        problem, code = str(error), error.exit_code
    except KeyboardInterrupt:
        problem, code = "interrupted", STOPPED_BY["SIGINT"]
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        problem, code = os_error_line(error), UserError.exit_code
    except (MemoryError, RuntimeError) as error:  # the second is JAX's, of many kinds
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        problem, code = _memory_line(error), UserError.exit_code
    # Said when the exception is gone, and with it a progress bar that would end behind the line.
    sys.exit(code if problem is None else fail(problem, code))


def fail(message: str, code: int) -> int:
    """Prints one line on the standard error stream and returns `code`."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _memory_line(error: BaseException) -> str:
    asked = re.search(r"([\d.]+) ?(bytes|[KMGT]iB)", str(error))
    many = f" for {asked[1]} {asked[2]} more" if asked else ""
    return (
        f"there is not enough memory{many}: end other programs, ask for a smaller --size, or when training lower "
        "data.max_size or batch_size"
    )


def os_error_line(error: OSError) -> str:
    """What the system refused and what helps against it."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{where}: free some and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}{where}: choose a place that you may write to, or change its permissions"
    return f"{error.strerror or error}{where}"


def expanded(path: str | Path | None) -> Path | None:
    """The path, with a ~ at its beginning as the home folder, which a shell would have made of it."""
    return None if path is None else Path(os.path.expanduser(path))


def prepare_jax() -> None:
    """Keeps compiled programs on disk between runs, and finds the devices.

    JAX_COMPILATION_CACHE_DIR, or JAX's own setting, says where programs are kept, else `cache_folder`.

    Raises UserError: the devices that JAX_PLATFORMS asks for are not there.
    """
    import jax

    if not jax.config.jax_compilation_cache_dir and (folder := _writable(cache_folder() / "compiled")):
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _forget_damaged_programs(str(jax.config.jax_compilation_cache_dir or ""))
    try:
        jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # the second where a platform's plugin is not installed
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = f" ({' '.join(str(error).split())[:200]})" if str(error) else ""
        raise UserError(
            f"JAX finds no device{f' for JAX_PLATFORMS={asked}' if asked else ''}{reason}: install its plugin, such as "
            "jax[cuda13] or jax[tpu], or set JAX_PLATFORMS=cpu"
        ) from None


@functools.cache
def _forget_damaged_programs(folder: str) -> None:
    """Has programs that a kill or a full disk left half written in `folder` compiled and written anew.

    JAX would keep them, and warn of each and compile it at every start. That there is no space is said once.
    """
    shown = warnings.showwarning

    def show(message, *arguments, **options) -> None:
        damaged = re.match(r"Error (read|writ)ing persistent compilation cache entry for '([\w.<>-]+)'", str(message))
        if damaged is None:
            return shown(message, *arguments, **options)
        for path in Path(folder).glob(f"{damaged[2]}-*"):
            with contextlib.suppress(OSError):  # a folder that may only be read, or a file that another process holds
                path.unlink()
        if damaged[1] == "writ" or not os.path.isdir(folder):
            _say_not_writable(folder)

    if folder:
        warnings.showwarning = show


def _writable(folder: Path) -> Path | None:
    """The folder, made if need be; None, and a note, where it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    _say_not_writable(folder)
    return None


@functools.cache
def _say_not_writable(folder: Path | str) -> None:
    variable = "JAX_COMPILATION_CACHE_DIR" if os.environ.get("JAX_COMPILATION_CACHE_DIR") else "SIV_JAX_CACHE"
    print(f"note: {folder} cannot be written to: programs compile anew each time; set {variable}", file=sys.stderr)


def cache_folder() -> Path:
    """Where siv_jax keeps what it can make or fetch again: $SIV_JAX_CACHE or the system's place for such files."""
    if given := os.environ.get("SIV_JAX_CACHE"):
        return expanded(given)
    try:
        usual = platformdirs.user_cache_dir("siv_jax")
    except RuntimeError:  # what some versions say of somebody without a home, of whom others answer ~
        usual = "~"
    return Path(tempfile.gettempdir(), "siv_jax") if usual.startswith("~") else Path(usual)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are one line, as those of everything else here; its `type=Path` takes ~."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)
        self.register("type", Path, expanded)

    def error(self, message: str) -> None:
        raise UserError(f"{message}; see --help")


def require_whole(name: str, value: object, lowest: int, highest: int) -> None:
    """Raises UserError: `value` is no whole number, of Python's or numpy's, from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not lowest <= value <= highest:
        raise UserError(f"{name} is {value!r}; it must be a whole number from {lowest} to {highest}")


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """An argparse type: integers from `lowest` to `highest`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return value

    return parse


def existing_folder(text: str) -> Path:
    """For `add_argument(type=...)` of a run's folder, so that a missing one is answered before JAX loads.

    Raises UserError: there is no such folder.
    """
    folder = expanded(text)
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist: give the --workdir of a run")
    return folder
