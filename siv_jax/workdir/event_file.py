"""TensorBoard's file of a run: scalars and images by step."""

import socket
import time
from pathlib import Path

import numpy as np


class EventFile:
    """Appends to one event file, at once and in the calling thread.

    tensorboardX's SummaryWriter has a thread of its own, which a full disk ends with a traceback while the run goes
    on, and holds back two minutes of entries, which a killed run loses.
    """

    def __init__(self, folder: Path, first_step: int):
        """A new file in `folder`; what older ones say of `first_step` and later steps counts no more."""
        # Imported here, so that the rest of the package works without it.
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**6}.{socket.gethostname()}"
        self._event, self._file = Event, RecordWriter(str(folder / name))
        self._append(Event(file_version="brain.Event:2", step=first_step))
        self._append(Event(session_log=SessionLog(status=SessionLog.START), step=first_step))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One point of each curve."""
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._append(self._event(summary=scalar(name, value), step=step))
        self._file.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """A uint8 picture [H, W, 3]."""
        from tensorboardX.summary import image

        self._append(self._event(summary=image(name, picture, dataformats="HWC"), step=step))
        self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _append(self, event) -> None:
        event.wall_time = time.time()
        self._file.write(event.SerializeToString())
