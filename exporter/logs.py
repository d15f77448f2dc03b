"""Log lines on stderr, as logfmt or JSON."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import sys
import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("logfmt", "json")

MAX_WAITING_LINES: Final = 1000
"""Lines that wait until stderr takes them. More are dropped, and their number is logged when it does again."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for a stderr that takes no lines."""

STDERR: Final = 2
"""Its file descriptor. Python's own object would hold a lock while it waits, also at the end of the process."""

_KEYS: Final = ("ts", "level", "logger", "msg")

_QUIET: Final = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.WARNING,
    "uvicorn": logging.ERROR,
}
"""The lowest level of some libraries; below it, httpcore would log signed headers, and uvicorn each bad request."""


def set_up(level: str, form: str) -> None:
    """Write log lines of at least `level` (a key of LEVELS) to stderr in the format `form` (one of FORMATS)."""
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        _name_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=_KEYS, drop_missing=True)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.NullHandler() if sys.stderr is None else _Writer(STDERR)
    handler.setFormatter(formatter)
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(max(lowest, LEVELS[level]))


def _name_level(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The level as Prometheus and `--log.level` spell it."""
    del logger, method
    if event["level"] == "warning":
        event["level"] = "warn"
    return event


class _Writer(logging.Handler):
    """Writes lines in a thread of its own: a stderr that is full and that is not read delays nothing else."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._lines: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING_LINES)
        self._dropped = 0
        self._reported = 0
        threading.Thread(target=self._write_lines, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the line of `record` to the thread, or count it if too many wait."""
        try:
            self._lines.put_nowait(self._line(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 - a line that cannot be made must not end what it is about
            self.handleError(record)

    def flush(self) -> None:
        """Wait until the lines are written, EXIT_SECONDS at most."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, EXIT_SECONDS)

    def close(self) -> None:
        """End the thread."""
        with contextlib.suppress(queue.Full):  # a thread that hangs ends with the process
            self._lines.put_nowait(None)
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if new := self._dropped - self._reported:
                self._reported += new
                self._write(self._line(_lines_dropped(new)))
            self._lines.task_done()

    def _write(self, line: bytes) -> None:
        """Write `line`, however long that takes. It is lost if stderr is closed."""
        try:
            while line:
                try:
                    line = line[os.write(self._file, line) :]
                except BlockingIOError:  # another process has made the same file non-blocking
                    select.select([], [self._file], [])
        except OSError:
            pass


def _lines_dropped(number: int) -> logging.LogRecord:
    message = "log lines were dropped because stderr took no more"
    record = logging.getLogger(__name__).makeRecord(__name__, logging.WARNING, "", 0, message, (), None)
    record.dropped = number
    return record
