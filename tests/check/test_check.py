from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.check import explain
from exporter.check.examine import CONCURRENT_TARGETS
from exporter.simulator import Fault, create_app
from tests.check.conftest import account, store_of
from tests.cli.conftest import PATIENCE, command
from tests.rawserver import free_port, raw_server
from tests.serving import serve
from tests.waiting import until

POLICIES = Path(__file__).parents[2] / "deploy" / "policies"


def test_a_target_that_works(store, url, check):
    """The report has all findings, in words and without escape codes, and the exit code is 0."""
    done = check(account(store, url), flags=["--scrape-interval=30s"])
    assert (done.returncode, done.stderr) == (0, "")
    name = f"{store.provider}/prod/{store.region}"
    assert done.stdout.startswith(f"{name}: ok\n")
    for line in (
        "credentials  ok      from the source static",
        "name         ok      127.0.0.1",
        "connection   ok      connected to 127.0.0.1:",
        "tls          skipped the endpoint is http:// on this machine",
        "clock        ok      differs from the service's by ",
        "signature    ok      accepted",
        f"permission   ok      {store.provider}:ListJobs",
        "listing      ok      1 page in ",
        "2880 requests a day if scraped every 30s",
    ):
        assert line in done.stdout
    assert done.stdout.endswith("targets: 1 ok, 0 warning, 0 failed\n")
    assert "\x1b" not in done.stdout


def test_the_numbers_are_those_of_a_scrape(start, findings, tmp_path):
    """Pages, jobs and series are those of a scrape by the exporter itself, and a day has a request for each page."""
    store = store_of("oss", jobs=250, page_size=100)
    with serve(create_app(store)) as url:
        code, _, report = findings(account(store, url))
        exporter = start(f"--config.file={tmp_path / 'config.yaml'}", "--web.listen-address=127.0.0.1:0")
        base = exporter.wait_until_it_listens()
        text = httpx.get(f"{base}/probe?target=oss/prod/cn-hangzhou", timeout=PATIENCE).text
    assert (code, report["ok"], report["error_reason"]) == (0, True, None)
    assert (report["pages"], report["requests_per_day"]) == (3, 3 * 1440)
    assert sum(report["jobs"].values()) == 250
    assert report["series"] == sum(not line.startswith("#") for line in text.splitlines())


def test_a_wrong_secret(store, url, findings):
    """A signature that the service refuses is named with its code; nothing is said about the permissions."""
    code, found, report = findings(account(store, url, secret="CANARY-wrong"))
    assert (code, report["ok"], report["error_reason"]) == (1, False, "auth")
    assert found["signature"]["state"] == "failed"
    assert "SignatureDoesNotMatch" in found["signature"]["text"]
    assert (found["permission"]["state"], found["listing"]["state"]) == ("skipped", "failed")
    assert "CANARY" not in json.dumps(report)


def test_a_missing_permission(store, url, findings):
    """The missing permission has its exact name, and the remedy is the statement of the shipped policy."""
    store.permissions.clear()
    code, found, report = findings(account(store, url, jobs={"describe": False}))
    assert (code, report["error_reason"]) == (1, "access_denied")
    assert found["signature"]["state"] == "ok"
    permission = found["permission"]
    assert permission["state"] == "failed"
    assert permission["text"].startswith(f"{store.provider}:ListJobs is missing: ")
    shipped = json.loads(next(POLICIES.glob(f"{store.provider}-*.json")).read_text())
    statements = shipped.get("Statement") or shipped["statement"]
    wanted = json.loads(permission["remedy"].partition(": ")[2])
    (key,) = (key for key in wanted if key.lower() == "action")
    assert any(set(wanted[key]) <= set(statement[key]) for statement in statements)
    assert any(wanted | {key: statement[key]} == statement for statement in statements)


@pytest.mark.parametrize("ids", [False, True], ids=["details", "ids"])
@pytest.mark.parametrize("provider", ["oss", "s3"])
def test_describe_is_not_allowed(provider, ids, findings):
    """Without the permission to describe, details are missing, which is a warning; with `jobs.ids` nothing works."""
    store = store_of(provider, permissions={"ListJobs"})
    jobs = {"ids": [store.world.jobs(time.time())[0].id]} if ids else {"describe": True}
    with serve(create_app(store)) as url:
        code, found, report = findings(account(store, url, jobs=jobs))
    assert (code, report["ok"]) == (int(ids), not ids)
    assert found["permission"]["state"] == ("failed" if ids else "warning")
    assert f"{provider}:DescribeJob is missing" in found["permission"]["text"]
    assert f'"{provider}:DescribeJob"' in found["permission"]["remedy"]


def test_describe_is_tried_although_no_job_failed(findings):
    """With `jobs.describe`, a job is described for the check, although a scrape would describe none."""
    store = store_of("s3", jobs=1)
    with serve(create_app(store)) as url:
        code, found, _ = findings(account(store, url, jobs={"describe": True}))
    assert code == 0
    assert found["permission"] == {"topic": "permission", "state": "ok", "text": "s3:DescribeJob", "remedy": ""}


def test_nothing_listens(store, findings):
    """A port without a listener is a failed connection with the system's reason."""
    code, found, report = findings(account(store, f"http://127.0.0.1:{free_port()}"))
    assert (code, report["error_reason"]) == (1, "connect")
    assert found["connection"]["state"] == "failed"
    assert found["connection"]["text"].endswith("Connection refused")
    assert (found["clock"]["state"], found["signature"]["state"]) == ("skipped", "skipped")


def test_an_unknown_host(findings):
    """A host that the DNS does not know is named, with what to check."""
    code, found, report = findings(account(store_of("oss"), "https://no.such.host.invalid"))
    assert (code, report["error_reason"]) == (1, "connect")
    assert found["name"]["text"].startswith("no.such.host.invalid is not found: ")
    assert "connection" not in found


@pytest.mark.parametrize("by", ["key", "environment"])
def test_a_proxy_that_is_down(findings, by):
    """With a proxy, the connection to the proxy is what is looked at, wherever it is configured."""
    proxy = f"http://user:CANARY@127.0.0.1:{free_port()}"
    settings, variables = ({"proxy_url": proxy}, {}) if by == "key" else ({}, {"HTTPS_PROXY": proxy})
    code, found, report = findings(account(store_of("oss"), "https://oss.example", **settings), **variables)
    assert code == 1
    assert found["connection"]["text"].startswith("no connection to the proxy 127.0.0.1:")
    assert "CANARY" not in json.dumps(report)


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "state"), [(1200, "failed"), (-1200, "failed"), (120, "warning")])
async def test_a_wrong_clock(findings, seconds, state):
    """The difference of the clocks is shown in seconds with its direction, and fails if the service minds it."""
    body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"

    async def late(peer):
        date = formatdate(time.time() - seconds, usegmt=True)
        if state == "failed":
            await peer.answer(body, "403 Forbidden", f"Date: {date}")
        else:
            await peer.answer(b"<ListBatchJobsResult></ListBatchJobsResult>", "200 OK", f"Date: {date}")

    async with raw_server(late) as host:
        code, found, report = await asyncio.to_thread(findings, account(store_of("oss"), f"http://{host}"))
    assert code == 1
    assert found["clock"]["state"] == state
    assert report["clock_skew_seconds"] == pytest.approx(seconds, abs=30)
    assert re.match(rf"1\d\d+ s {'fast' if seconds > 0 else 'slow'};", found["clock"]["text"])
    assert found["clock"]["remedy"] == "synchronise the clock of this machine (NTP)"


@pytest.mark.slow
def test_a_listener_that_never_accepts(findings):
    """A connection that is not made in time fails, also if nothing refuses it."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than its queue takes
            client = waiting.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        code, found, report = findings(account(store_of("oss"), url, timeout="1s"))
    assert (code, report["error_reason"]) == (1, "timeout")
    assert found["connection"]["text"].endswith(": timed out")


@pytest.mark.anyio
async def test_many_targets(check):
    """Some targets are called at the same time, and the report has all of them in the order of the file."""
    active = most = 0

    async def slow(peer):
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.2)
        active -= 1
        await peer.answer(b"<ListBatchJobsResult></ListBatchJobsResult>")

    async with raw_server(slow) as host:
        accounts = [account(store_of("oss"), f"http://{host}", account=f"a{number:02}") for number in range(20)]
        done = await asyncio.to_thread(check, *accounts)
    assert 1 < most <= CONCURRENT_TARGETS
    assert re.findall(r"^oss/(\w+)/", done.stdout, re.MULTILINE) == [entry["account"] for entry in accounts]


def test_a_response_that_is_no_listing(store, url, findings):
    """A failure that no other finding explains is explained by the listing."""
    store.faults.add(Fault("body", body=b"<html>", headers=("Content-Type: text/html",)))
    code, found, report = findings(account(store, url))
    assert (code, report["error_reason"]) == (1, "malformed")
    assert found["listing"]["state"] == "failed"
    assert "see above" not in found["listing"]["text"]
    assert found["signature"]["state"] == found["permission"]["state"] == "skipped"


def test_missing_keys(findings):
    """Without keys, the variables that are not set are named."""
    entry = account(store_of("s3"), "http://127.0.0.1:1") | {"credentials": {"source": "environment"}}
    code, found, report = findings(entry)
    assert (code, report["error_reason"]) == (1, "config")
    assert found["credentials"]["state"] == "failed"
    assert "AWS_ACCESS_KEY_ID" in found["credentials"]["text"]


def test_some_targets(check):
    """Only the named targets are called, and one that fails makes the exit code 1."""
    store = store_of("oss")
    with serve(create_app(store)) as url:
        good, bad = account(store, url), account(store, f"http://127.0.0.1:{free_port()}", account="bad")
        one = check(good, bad, flags=["oss/prod/cn-hangzhou"])
        both = check(good, bad)
    assert (one.returncode, both.returncode) == (0, 1)
    assert "oss/bad" not in one.stdout
    assert both.stdout.endswith("targets: 1 ok, 0 warning, 1 failed\n")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("oss/prod/nowhere", "no target 'oss/prod/nowhere'; known targets: oss/prod/cn-hangzhou"),
        ("--scrape-interval=60", "'60' is not a duration such as 500ms, 10s, 5m, 1h or 7d"),
        ("--scrape-interval=0s", "is not a duration"),
        ("--output=xml", "invalid choice"),
    ],
)
def test_wrong_usage(check, flag, words):
    """An unknown target or a wrong flag exits with 2, and sends nothing."""
    done = check(account(store_of("oss"), "http://127.0.0.1:1"), flags=[flag])
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_is_no_success(start, tmp_path, number):
    """A signal ends the check at once and quietly, and not with the exit code of a success."""
    store = store_of("oss")
    store.faults.add(Fault("delay", seconds=30))
    with serve(create_app(store)) as url:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"accounts": [account(store, url, timeout="60s")]}))
        process = start("check")
        until(lambda: store.requests)
        assert process.stop(number) == -number
    assert process.stderr == ""


def test_a_bad_file(check):
    """A bad configuration exits with 1 and its problems."""
    done = check(account(store_of("oss"), "http://127.0.0.1:1", retries=99))
    assert (done.returncode, done.stdout) == (1, "")
    assert "accounts[0].retries" in done.stderr


@pytest.mark.parametrize("output", ["text", "json", "no colour"])
def test_a_terminal(environment, tmp_path, output):
    """On a terminal, words have colours unless NO_COLOR is set, and a bar shows the progress; JSON stays JSON."""
    store = store_of("oss")
    with serve(create_app(store)) as url:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"accounts": [account(store, url)]}))
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command("check", f"--output={'json' if output == 'json' else 'text'}"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment | ({"NO_COLOR": "1"} if output == "no colour" else {}),
        )
        os.close(theirs)
        shown = everything(ours).decode()
        _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (0, b"")
    assert f"checking [{'-' * 30}] 0/1 " in shown
    assert f"checking [{'#' * 30}] 1/1 oss/prod/cn-hangzhou" in shown
    last = shown.rpartition("\x1b[2K")[2]
    if output == "json":
        assert json.loads(last)["ok"]
    elif output == "no colour":
        assert "\x1b" not in last
    else:
        assert "oss/prod/cn-hangzhou: \x1b[32mok\x1b[0m" in last


def everything(terminal):
    """Returns all that a process writes to a terminal, until it ends."""
    pieces = []
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    except OSError:  # on Linux this is how the end looks
        pass
    os.close(terminal)
    return b"".join(pieces)


def test_permissions_of_cos():
    """COS has one permission for both operations."""
    assert {explain.permission("cos", operation) for operation in ("ListJobs", "DescribeJob")} == {"cos:ListJobs"}


def test_proxies_are_those_of_a_scrape(findings):
    """A variable for a proxy that no request would use is no finding, however wrong it is."""
    store = store_of("oss")
    with serve(create_app(store)) as url:
        code, found, _ = findings(account(store, url), http_proxy="http://p:notaport", HTTP_PROXY="http://127.0.0.1:1")
    assert (code, found["connection"]["state"]) == (0, "ok")


def test_a_host_that_is_no_name(findings):
    """A host that cannot be a name is a finding, and loses no report."""
    code, found, _ = findings(account(store_of("oss"), f"https://{'a' * 70}.example"))
    assert (code, found["name"]["state"]) == (1, "failed")
