"""Where POSIX and Windows differ: signals that stop a training, processes apart from a terminal, peak memory, files.

Nothing else in the package asks which of the two it runs on or calls what one of them lacks; tests/test_windows.py runs
it without what Windows lacks. On a Windows machine it has not been tried.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None

# Errors of Windows for a file that another process has open: access denied, sharing violation.
_OPEN_ELSEWHERE = (5, 32)
_PAUSES = (0.01, 0.05, 0.2, 0.5)  # seconds before another try


def stopping_signals() -> dict[str, int]:
    """Name -> number of the signals that have a training save and end.

    SIGHUP, of a closed terminal, is of POSIX. SIGBREAK, of Ctrl-Break, is of Windows, where it is the only one that
    another process can send: SIGTERM from there would kill.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return {name: getattr(signal, name) for name in names if hasattr(signal, name)}


def apart() -> dict[str, object]:
    """Settings of subprocess.Popen for a process that Ctrl-C in this terminal does not reach.

    On POSIX it outlives the terminal; on Windows it ends with the console window that it was started in.
    """
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", None)
    return {"start_new_session": True} if group is None else {"creationflags": group}


def ask_to_stop(pid: int) -> None:
    """Has a training that was started `apart` save and end: SIGTERM, on Windows Ctrl-Break.

    Raises psutil.Error or OSError: there is no such process, or it cannot be reached, as one of another console of
      Windows.
    """
    psutil.Process(pid).send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


def end_at_once(process: subprocess.Popen) -> None:
    """Ends a process that this one has started, whatever it does."""
    process.kill()


def peak_memory() -> int:
    """Bytes that this process has had in use at most."""
    if resource is None:
        used = psutil.Process().memory_info()
        return getattr(used, "peak_wset", used.rss)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if psutil.MACOS else most * 1024


def replace(path: Path, target: Path) -> None:
    """Moves a file into the place of another one. On Windows it waits a little while another process reads that one."""
    for pause in _PAUSES:
        try:
            return os.replace(path, target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _OPEN_ELSEWHERE:
                raise
            time.sleep(pause)
    os.replace(path, target)
