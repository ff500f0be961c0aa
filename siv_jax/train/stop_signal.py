"""The signals that end training after it has saved."""

import contextlib
import functools
import signal
import threading
from collections.abc import Iterator

from siv_jax import system


class StopSignal:
    """Notes the first SIGINT, SIGTERM, SIGHUP or, on Windows, SIGBREAK; a second SIGINT interrupts at once.

    Attributes:
      name: "SIGINT", "SIGTERM", "SIGHUP" or "SIGBREAK" once one has come, else None.
    """

    def __init__(self):
        self.name: str | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignal"]:
        """Handles the signals inside the block; in threads but the main one, where Python allows none, it does not."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        names = {number: name for name, number in system.stopping_signals().items()}
        # Under nohup a closed terminal is to be ignored.
        heard = [number for number, name in names.items() if name != "SIGHUP" or not _ignored(number)]
        previous = {number: signal.signal(number, functools.partial(self._note, names)) for number in heard}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, names: dict[int, str], number: int, frame) -> None:
        if self.name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = names[number]


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN
