"""A headless Chromium, driven over its debugging pipe.

Source: https://chromedevtools.github.io/devtools-protocol/. Messages are JSON, each followed by a zero byte; Chromium
reads them from file descriptor 3 and writes to 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final

from tests import needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS: Final = 60.0
"""The longest wait for an answer; a busy machine needs some seconds to start Chromium."""

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# Moves the descriptors in the first two arguments to 3 and 4, and becomes the program in the others.
LAUNCHER: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One tab. `messages` are those of its console, `requested` the URLs that it has requested."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.messages: list[str] = []
        self.requested: list[str] = []
        self._to, self._from = to_browser, from_browser
        self._received = b""
        self._calls = 0
        self._session: str | None = None
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        """Open `url` in a window of this size (in CSS pixels), with this colour scheme, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._loaded = False
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression in JavaScript; it runs whatever the page's own policy says."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press_tab(self) -> None:
        """Press the tabulator key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def picture(self, file: Path) -> None:
        """Write what the window shows to `file`, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _next(self) -> dict[str, Any]:
        """The next message; events are noted."""
        end = time.monotonic() + SECONDS
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self._from, 1 << 20)
            assert piece, "Chromium has ended"
            self._received += piece
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        details = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requested.append(details["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.messages.append(json.dumps(details))
            case "Log.entryAdded":
                self.messages.append(details["entry"]["text"])
        return message


@contextlib.contextmanager
def tab(chromium: str = "") -> Iterator[Tab]:
    """A tab of a new Chromium, which ends with it; the test is skipped if Chromium is missing."""
    program = chromium or needs.program("chromium", package="chromium")
    with contextlib.ExitStack() as opened, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:

        def pipe() -> tuple[int, int]:
            low = os.pipe()
            high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low]  # so that none is 3 or 4
            for end in low:
                os.close(end)
            for end in high:
                opened.callback(os.close, end)
            return high[0], high[1]

        (reads, to_browser), (from_browser, writes) = pipe(), pipe()
        command = [sys.executable, "-c", LAUNCHER, str(reads), str(writes), program, *FLAGS]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield Tab(to_browser, from_browser)
        finally:
            process.terminate()
            process.wait(SECONDS)
