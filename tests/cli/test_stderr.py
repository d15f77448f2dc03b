from __future__ import annotations

import json
import re

import httpx
import pytest

from exporter.core.errors import REMEDIES
from exporter.simulator import Fault, create_app
from tests.cli.conftest import PATIENCE
from tests.rawserver import free_port
from tests.rig import KEY_ID, fresh_store
from tests.serving import serve

LISTEN = "--web.listen-address=127.0.0.1:0"
SECRET, TOKEN = "CANARY-secret", "CANARY-token"
LOGFMT = re.compile(r'(?:[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$))+')
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)')


@pytest.fixture
def lines(start, config_file):
    """Returns the lines that an exporter logs with the given flags during good scrapes, a retry and a failed scrape."""

    def written(*flags):
        store = fresh_store()
        store.access_key_secret, store.security_token = SECRET, TOKEN
        credentials = {
            "source": "static",
            "access_key_id": KEY_ID,
            "access_key_secret": SECRET,
            "security_token": TOKEN,
        }
        with serve(create_app(store)) as store_url:
            exporter = start(config_file(store_url, credentials=credentials), LISTEN, *flags)
            url = exporter.wait_until_it_listens()
            httpx.get(f"{url}/metrics", timeout=PATIENCE)
            store.faults.add(Fault("error", status=503, code="ServiceUnavailable", times=1))
            httpx.get(f"{url}/metrics", timeout=PATIENCE)
            store.access_key_secret = "CANARY-of-another"
            httpx.get(f"{url}/metrics", timeout=PATIENCE)
            store.access_key_secret = SECRET
            httpx.get(f"{url}/metrics", timeout=PATIENCE)
            exporter.stop()
        return exporter.lines

    return written


def fields(line):
    """Returns the keys and values of a logfmt line."""
    assert LOGFMT.fullmatch(line.rstrip("\n")), line
    return {key: json.loads(text) if text.startswith('"') else text for key, text in PAIR.findall(line)}


def messages(records):
    return [(record["level"], record["msg"].partition(":")[0]) for record in records]


STORY = [
    ("info", "starting"),
    ("info", "listening"),
    ("info", "credentials found"),
    ("warn", "listing failed"),
    ("info", "listing succeeded again"),
    ("info", "stopping"),
]
"""The messages at the level info; that of the retry is at debug."""


def test_logfmt_is_the_default(lines):
    """Each line is logfmt with time, level, logger and message first, and each event is logged once, in order."""
    records = [fields(line) for line in lines()]
    assert messages(records) == STORY
    for record in records:
        assert list(record)[:4] == ["ts", "level", "logger", "msg"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", record["ts"])
    failed = records[3]
    assert (failed["target"], failed["reason"]) == ("oss/prod/cn-hangzhou", "auth")
    assert "403 SignatureDoesNotMatch" in failed["msg"]
    assert failed["code"] == "SignatureDoesNotMatch"
    assert re.fullmatch(r"[0-9A-F]{24}", failed["request_id"])
    assert failed["remedy"] == REMEDIES["auth"]
    assert re.search(r"\(request id [0-9A-F]{24}\)", failed["msg"])


def test_json_has_the_same_fields(lines):
    """With `--log.format=json` each line is one JSON object with the same fields."""
    records = [json.loads(line) for line in lines("--log.format=json")]
    assert messages(records) == STORY
    for record in records:
        assert {"ts", "level", "logger", "msg"} <= record.keys()
    assert (records[3]["target"], records[3]["reason"]) == ("oss/prod/cn-hangzhou", "auth")
    assert records[0]["targets"] == 1


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_debug_shows_no_secret(form, lines):
    """Even at the level debug, no line shows a secret, token, signature or response, and no library logs."""
    written = lines("--log.level=debug", f"--log.format={form}")
    text = "".join(written)
    for hidden in ("CANARY", "OSS4-HMAC", "Signature=", "StringToSign", "uthorization", "<Error>"):
        assert hidden not in text
    records = [json.loads(line) if form == "json" else fields(line) for line in written]
    assert {record["logger"].partition(".")[0] for record in records} == {"exporter"}
    assert any(record["level"] == "debug" and record["msg"].startswith("retry in 0.") for record in records)


def test_warn_logs_warnings_only(start, config_file):
    """At the level warn, a normal start and exit log nothing."""
    port = free_port()
    exporter = start(config_file("http://127.0.0.1:1"), f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        assert client.get(f"http://127.0.0.1:{port}/-/healthy").status_code == 200
    assert exporter.stop() == 0
    assert exporter.stderr == ""
