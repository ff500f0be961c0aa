"""Takes from siv_jax what Windows lacks. With this folder on PYTHONPATH every process runs it first.

Modules and functions of POSIX alone are gone for code of siv_jax; signals are gone for everybody. os.kill ends any
process at once, but for Ctrl-Break, which SIGUSR1 stands for. Popen refuses what it refuses there. A file that this
process has open cannot be replaced. Text without an encoding is an error in siv_jax.
"""

import builtins
import os
import signal
import subprocess
import sys
import warnings

PACKAGE = "siv_jax"
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "_posixsubprocess"}
FUNCTIONS = [
    *("fork", "forkpty", "posix_spawn", "wait", "wait3", "wait4", "killpg", "openpty", "ttyname", "ctermid"),
    *("getpgid", "getpgrp", "setpgid", "setsid", "getsid", "nice", "getpriority", "setpriority"),
    *("sched_getaffinity", "sched_setaffinity", "sysconf", "confstr", "pathconf", "uname", "getloadavg"),
    *("getuid", "geteuid", "getgid", "getegid", "setuid", "setgid", "chown", "fchown", "fchmod", "chroot"),
    *("mkfifo", "mknod", "statvfs", "sync"),
]
SIGNALS = ["SIGHUP", "SIGKILL", "SIGALRM", "SIGQUIT", "SIGPIPE", "SIGTSTP", "SIGCONT", "SIGSTOP", "SIGUSR1", "SIGUSR2"]


def _ours(scope: dict | None) -> bool:
    return ((scope or {}).get("__package__") or "").partition(".")[0] == PACKAGE


def _limit_imports() -> None:
    usual = builtins.__import__

    def limited(name, globals=None, locals=None, fromlist=(), level=0):
        if name in MODULES and _ours(globals):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return usual(name, globals, locals, fromlist, level)

    builtins.__import__ = limited


def _limit_os() -> None:
    def limited(name, usual):
        def call(*arguments, **settings):
            if _ours(sys._getframe(1).f_globals):
                raise AttributeError(f"module 'os' has no attribute {name!r}")
            return usual(*arguments, **settings)

        return call

    for name in FUNCTIONS:
        if hasattr(os, name):
            setattr(os, name, limited(name, getattr(os, name)))


def _limit_signals() -> None:
    kill, killed, ctrl_break = os.kill, int(signal.SIGKILL), int(signal.SIGUSR1)

    def terminate(pid: int, number: int) -> None:
        kill(pid, number if number in (0, ctrl_break) else killed)

    for name in SIGNALS:
        delattr(signal, name)
    signal.SIGBREAK = signal.CTRL_BREAK_EVENT = ctrl_break
    os.kill = terminate


def _limit_processes() -> None:
    usual = subprocess.Popen.__init__
    subprocess.CREATE_NEW_PROCESS_GROUP = 0x200

    def limited(self, *arguments, pass_fds=(), preexec_fn=None, start_new_session=False, creationflags=0, **settings):
        if pass_fds or preexec_fn:
            raise ValueError("pass_fds and preexec_fn are not supported on Windows platforms")
        apart = creationflags & subprocess.CREATE_NEW_PROCESS_GROUP  # start_new_session does nothing there
        usual(self, *arguments, start_new_session=bool(apart), **settings)

    subprocess.Popen.__init__ = limited


def _limit_files() -> None:
    usual = os.replace

    def limited(source, target, **settings):
        for path in (source, target):
            if os.path.exists(path) and any(os.path.samestat(os.stat(path), found) for found in _open_files()):
                raise PermissionError(13, "it is in use by a process", str(path))
        usual(source, target, **settings)

    os.replace = limited


def _open_files() -> list[os.stat_result]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.fstat(int(number)))
        except OSError:  # that of the listing itself
            continue
    return found


_limit_imports()
_limit_os()
_limit_signals()
_limit_processes()
_limit_files()
warnings.filterwarnings("error", category=EncodingWarning, module=PACKAGE)
