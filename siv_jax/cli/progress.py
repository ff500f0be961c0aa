"""The display of what goes on: a bar in a terminal, a line now and then where the output goes into a file."""

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30.0
# In a terminal: a bar of a fixed width first, so that a long name at the end is cut and not the bar.
_BAR = "{percentage:3.0f}% |{bar:16}| {n_fmt}/{total_fmt}, {remaining} left, {rate_fmt}{postfix}"
_LINE = "{n_fmt} of {total_fmt} %s, {rate_fmt}, {elapsed} so far, {remaining} left{postfix}"


class _Lines:
    """Takes what tqdm writes to redraw one line, and writes whole lines."""

    def __init__(self, stream: TextIO):
        self._stream, self._last = stream, ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self._last:
            self._stream.write(line + "\n")
            self._last = line

    def flush(self) -> None:
        self._stream.flush()


def display(total: int, initial: int, disable: bool) -> tqdm:
    """The display of `total` steps, of which `initial` are done."""
    return _display("steps", total=total, initial=initial, unit="it", smoothing=0.1, disable=disable)


def pictures(made: Iterable, count: int, alone: bool = True) -> Iterator:
    """The `count` pictures as they are `made`, with their display; of a single one only where `alone`."""
    # Shown when the first is asked for: what goes wrong before has no bar.
    yield from _display("pictures", iterable=made, total=count, unit="picture", disable=count == 1 and not alone)


def _display(what: str, **settings) -> tqdm:
    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, bar_format=_BAR, **settings)
    pause = _SECONDS_BETWEEN_LINES
    return tqdm(file=_Lines(sys.stderr), bar_format=_LINE % what, mininterval=pause, delay=pause, **settings)
