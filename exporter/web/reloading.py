"""The configuration while the process runs: read again on request, on a signal, or because a file has changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from exporter.client.file_states import file_states
from exporter.config import effective
from exporter.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.client.file_states import FileStates
    from exporter.config import Config
    from exporter.web.application import Application

INTERVAL_SECONDS: Final = 30.0
"""From one look at the files to the next."""

log = logging.getLogger(__name__)


class Reloader:
    """Gives an exporter the configuration of `file` again. `load` reads it and raises ConfigError."""

    def __init__(self, file: str, load: Callable[[], Config], loaded: Config, exporter: Application) -> None:
        self._file = file
        self._load = load
        self._config = loaded
        self._exporter = exporter
        self._lock = asyncio.Lock()
        self._requested = asyncio.Event()
        self._states = file_states(self._files)

    @property
    def _files(self) -> tuple[str, ...]:
        return self._file, *(named.name for named in self._config.files)

    async def reload(self) -> None:
        """Take over the configuration as a whole. Raises ConfigError; then the last one stays in use."""
        async with self._lock:
            # Of the file before it is read, so that no change is missed.
            own, self._states = await asyncio.gather(self._look((self._file,)), self._look(self._files))
            try:
                config, text = await asyncio.to_thread(self._read)  # a thousand targets take a second
            except ConfigError as error:
                self._exporter.self_metrics.config_refused()
                log.error("configuration not reloaded; the last one stays in use: %s", error)  # noqa: TRY400 - no bug
                raise
            self._config = config
            self._states = own + await self._look(self._files[1:])
            await self._exporter.replace(config.targets, text)
            log.info("configuration reloaded", extra={"file": self._file, "targets": len(config.targets)})

    def _read(self) -> tuple[Config, str]:
        config = self._load().keeping(self._config)
        return config, effective.as_text(config.accounts)

    def request(self) -> None:
        """Have `watch` reload soon; for handlers of signals, which must not wait."""
        self._requested.set()

    async def watch(self, interval: float) -> None:
        """Reload on request, and when a file has changed, until cancelled.

        `interval` is the time between two looks at the files, in seconds; 0: none.
        """
        while True:
            try:
                async with asyncio.timeout(interval or None):
                    await self._requested.wait()
            except TimeoutError:
                if await self._look(self._files) == self._states:
                    continue
            self._requested.clear()
            try:
                await self.reload()
            except ConfigError:
                pass  # logged
            except Exception:
                log.exception("internal error (please report it); the last configuration stays in use")

    @staticmethod
    async def _look(files: Sequence[str]) -> FileStates:
        return await asyncio.to_thread(file_states, files)
