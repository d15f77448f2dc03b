"""Key files that change while they are used."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import threading
import time
from pathlib import PosixPath

import pytest

from exporter.core.errors import CredentialsError
from exporter.core.interfaces import Refusals
from exporter.core.workers import WaitingThreads
from exporter.credentials.key_files import MAX_READINGS, KeyFile
from exporter.credentials.static import StaticCredentials
from tests.credentials.conftest import offline
from tests.hanging import hanging

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair(tmp_path):
    """Writes a pair of key files, or one of them; returns their paths."""

    def write(key_id=None, secret=None):
        paths = tmp_path / "id", tmp_path / "secret"
        for path, content in zip(paths, (key_id, secret), strict=True):
            if content is not None:
                path.write_text(content)
        return paths

    return write


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def static(paths, **more):
    """The source `static` whose key id and secret are in files."""
    key_id, secret = paths
    return StaticCredentials(KeyFile(key_id), KeyFile(secret), None, **more)


async def keys(source):
    """The key id and the secret of a source."""
    found = await source.get(offline)
    return found.key_id, found.secret.reveal()


@contextlib.contextmanager
def meanwhile(work):
    """Calls `work` with 2, 3 and so on in a thread, again and again, until the end of the block."""
    end = threading.Event()

    def run():
        for number in itertools.count(2):
            if end.is_set():
                return
            work(number)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


async def test_a_pair_that_is_replaced_between_two_reads(tmp_path):
    """However often Kubernetes replaces a secret while it is read, its id and its key are never mixed."""
    link = tmp_path / "secret"

    def replace(number):
        folder = tmp_path / f"data-{number}"
        folder.mkdir()
        for name in ("id", "key"):
            (folder / name).write_text(f"{name}-{number}")
        (tmp_path / "new").symlink_to(folder)
        (tmp_path / "new").rename(link)

    replace(1)
    source = StaticCredentials(KeyFile(link / "id"), KeyFile(link / "key"), None)
    seen = {await keys(source)}
    with meanwhile(replace):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            seen.add(await keys(source))
    seen.add(await keys(source))
    assert len(seen) > 1
    assert [found for found in seen if found[0].replace("id", "key") != found[1]] == []


class Watched(PosixPath):
    """A path that calls `work` each time before the file is read, with the number of the reading, from 1."""

    def watch(self, work):
        self.work, self.readings = work, 0
        return self

    def stat(self, **options):
        self.readings += 1
        self.work(self.readings)
        return super().stat(**options)


async def test_a_pair_that_is_replaced_after_its_id_was_read(pair):
    """If both files are replaced after the first was read, both are read again."""
    key_id, secret = pair("id-1", "secret-1")

    def replace(reading):
        if reading == 1:
            pair("id-2", "secret-2")

    assert await keys(static((key_id, Watched(secret).watch(replace)))) == ("id-2", "secret-2")


async def test_files_that_are_rewritten_in_place(pair):
    """While key files are rewritten in place again and again, each is empty for a moment, which is never used."""
    paths = pair("id-1", "secret-1")

    def rewrite(number):
        for path in paths:
            with path.open("w") as file:
                time.sleep(0.001)
                file.write(f"{path.name}-{number}\n")
            time.sleep(0.001)

    source = static(paths)
    await keys(source)
    with meanwhile(rewrite):
        for _ in range(40):
            key_id, secret = await keys(source)
            assert re.fullmatch("id-[0-9]+ secret-[0-9]+", f"{key_id} {secret}")


async def test_a_file_that_is_empty_at_first(pair):
    """A file that is empty when it is first read, because it is being written, is read again."""
    key_id, secret = pair("id-1", "")

    def write(reading):
        if reading == MAX_READINGS - 1:
            pair(secret="secret-1")

    assert await keys(static((key_id, Watched(secret).watch(write)))) == ("id-1", "secret-1")


@pytest.mark.parametrize("broken", ["empty", "missing", "half"])
async def test_a_file_that_stays_broken(pair, caplog, broken):
    """The last keys are used for 60 seconds, with one warning; then the error names the file, until it is repaired."""
    caplog.set_level(logging.INFO, "exporter.credentials")
    paths = pair("id-1", "secret-1")
    source = static(paths, account="oss/prod", since_start=(clock := Clock()))
    await keys(source)
    if broken == "missing":
        paths[1].unlink()
    else:
        pair(secret="" if broken == "empty" else "hunter2 hun")
    for clock.seconds in (100.0, 130.0, 159.0):
        assert await keys(source) == ("id-1", "secret-1")
    problem = {
        "empty": "is empty",
        "missing": "cannot be read: No such file or directory",
        "half": "contains a character that HTTP headers do not allow",
    }[broken]
    clock.seconds = 161.0
    with pytest.raises(CredentialsError, match=f"^{paths[1]} {problem}") as caught:
        await keys(source)
    assert caught.value.reason == "config"
    [line] = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage().startswith("key files are not usable, the last keys are used for 60 s: ")
    assert "hunter2" not in line.getMessage()
    pair("id-2", "secret-2")
    assert await keys(source) == ("id-2", "secret-2")


async def test_a_pair_that_is_half_replaced(pair):
    """If only one file of a pair has new content, the last pair is used until the other one has too."""
    paths = pair("id-1", "secret-1")
    source = static(paths, since_start=(clock := Clock()))
    await keys(source)
    pair(key_id="id-2")
    assert await keys(source) == ("id-1", "secret-1")
    pair(secret="secret-2")
    assert await keys(source) == ("id-2", "secret-2")
    pair(secret="secret-3")
    assert await keys(source) == ("id-2", "secret-2")
    clock.seconds = 61.0
    assert await keys(source) == ("id-2", "secret-3")


async def test_a_pair_that_was_refused_is_not_kept(pair):
    """If the service refused the last pair, the files are used as they are."""
    paths = pair("id-1", "typo")
    source = static(paths)
    found = await source.get(offline)
    await source.refused(found, offline, Refusals())
    pair(secret="secret-1")
    assert await keys(source) == ("id-1", "secret-1")


async def test_a_file_that_hangs_costs_one_thread(pair):
    """However many scrapes give up on a key file that hangs, one thread waits for it; then it is used."""
    paths = pair("id-1", "secret-1")
    source = static(paths)
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    with hanging(paths[1]):
        before = threading.active_count()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(source.get(offline), 0.1)
        assert threading.active_count() <= before + 1
    assert await keys(source) == ("id-1", "secret-1")
