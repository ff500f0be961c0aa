"""The signals that end training after it has saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class StopSignal:
    """Notes the first SIGINT, SIGTERM or SIGHUP; a second SIGINT interrupts at once.

    Attributes:
      name: "SIGINT", "SIGTERM" or "SIGHUP" once one has come, else None.
    """

    def __init__(self):
        self.name: str | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignal"]:
        """Handles the signals inside the block; in threads but the main one, where Python allows none, it does not."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers, hangup = [signal.SIGINT, signal.SIGTERM], getattr(signal, "SIGHUP", None)
        # Under nohup a closed terminal is to be ignored.
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            numbers.append(hangup)
        previous = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        if self.name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name
