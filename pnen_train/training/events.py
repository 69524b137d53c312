"""TensorBoard's event file, written at once: a full disk is an error here and not in a thread of its own."""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary


class Events:
    """A new event file in `folder`; TensorBoard forgets what older ones there hold from step `first` on."""

    def __init__(self, folder: Path, first: int):
        path = folder / f"events.out.tfevents.{time.time():.3f}.{os.getpid()}"
        self._file = path.open("wb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        self._write(step=first, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a point to a curve."""
        self._write(step=step, summary=summary.scalar(name, value))

    def image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Add an (H, W, 3) picture."""
        self._write(step=step, summary=summary.image(name, image, dataformats="HWC"))

    def close(self) -> None:
        """No more events."""
        self._records.close()

    def _write(self, **fields: object) -> None:
        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._records.flush()
