from __future__ import annotations

import json
import logging
import warnings

import pytest

from exporter import logs


@pytest.fixture(autouse=True)
def _restore_logging():
    """Restores the global settings of logging after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def written(capfd):
    """Returns what `write` logs to stderr in the given format."""

    def writing(form, write, level="info"):
        logs.set_up(level, form)
        write(logging.getLogger("exporter.test"))
        logging.getLogger().handlers[0].flush()
        out, err = capfd.readouterr()
        assert out == ""
        return err

    return writing


AWKWARD = 'a "quoted" \\ word=1\nsecond line\r\t größe 🚚 \x1b[31m'


@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_record_is_one_line(form, written):
    """A record is one line, whatever its message and its fields contain."""
    text = written(form, lambda log: log.warning("%s", AWKWARD, extra={"target": AWKWARD}))
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_json_keeps_every_character(written):
    """A JSON line preserves every character of message and fields."""
    record = json.loads(written("json", lambda log: log.warning("%s", AWKWARD, extra={"target": AWKWARD, "pages": 3})))
    assert (record["msg"], record["target"], record["pages"]) == (AWKWARD, AWKWARD, 3)
    assert (record["level"], record["logger"]) == ("warn", "exporter.test")


def test_the_order_of_logfmt(written):
    """A logfmt line begins with time, level, logger and message, before all other fields."""
    line = written("logfmt", lambda log: log.info("two words", extra={"a": 1, "target": "oss/prod/x"}))
    start, _, rest = line.partition(" ")
    assert start.startswith("ts=2")
    assert rest == 'level=info logger=exporter.test msg="two words" a=1 target=oss/prod/x\n'


@pytest.mark.parametrize("form", logs.FORMATS)
def test_an_exception_is_part_of_its_line(form, written):
    """The traceback of an exception is in the same line as its message."""

    def fail(log):
        try:
            raise KeyError("here")  # noqa: TRY301 - the exception to log
        except KeyError:
            log.exception("it failed")

    text = written(form, fail)
    assert text.count("\n") == 1
    assert "Traceback (most recent call last)" in text
    assert "KeyError: 'here'" in text


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)],
)
def test_the_level_is_the_lowest_that_is_shown(level, shown, written):
    """Each level shows itself and all higher ones."""

    def write(log):
        for severity in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(severity, "line")

    assert written("logfmt", write, level).count("\n") == shown


@pytest.mark.parametrize("library", ["httpx", "httpcore.http11", "httpcore.connection", "asyncio"])
def test_libraries_log_warnings_only(library, written):
    """Libraries log warnings and errors only: below that, they could log requests with their headers."""

    def write(_log):
        logging.getLogger(library).debug("GET /?secret")
        logging.getLogger(library).info("GET /?secret")
        logging.getLogger(library).warning("trouble")

    text = written("logfmt", write, "debug")
    assert "secret" not in text
    assert "msg=trouble" in text


def test_a_warning_of_python_is_a_line(written):
    """A warning of Python is a log line like any other."""

    def warn(_log):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old\nthing", UserWarning, stacklevel=1)

    text = written("logfmt", warn)
    assert "logger=py.warnings" in text
    assert text.count("\n") == 1


def test_setting_up_again_replaces_the_first(written):
    """A second call replaces the first: no line is written twice."""
    written("json", lambda log: log.info("one"))
    assert written("logfmt", lambda log: log.info("two")).count("\n") == 1
