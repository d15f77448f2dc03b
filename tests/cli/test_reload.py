"""Reloading the configuration of a running exporter, which reads a simulated store."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cli.conftest import PATIENCE
from tests.rig import KEY_ID, KEY_SECRET
from tests.waiting import until


@pytest.fixture
def write(tmp_path, store_url):
    """Writes a configuration with an account for each of the given names, and returns its path."""

    def writing(*names, **settings):
        accounts = [
            {
                "provider": "oss",
                "account": name,
                "regions": ["cn-hangzhou"],
                "endpoint": store_url,
                "credentials": {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET},
                **settings,
            }
            for name in names
        ]
        path = tmp_path / "config.yaml"
        (tmp_path / "new.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
        (tmp_path / "new.yaml").replace(path)
        return path

    return writing


@pytest.fixture
def exporter(start, write):
    """Starts an exporter of the account a, and returns the process and a client of it."""
    with contextlib.ExitStack() as opened:

        def starting(*flags):
            write("a")
            process = start("--config.file=config.yaml", "--web.listen-address=127.0.0.1:0", *flags)
            url = process.wait_until_it_listens()
            return process, opened.enter_context(httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False))

        yield starting


def accounts(client):
    """The accounts that are exported and up."""
    return sorted(
        re.findall(r'^batchops_up\{[^}]*account="(\w+)"[^}]*\} 1$', client.get("/metrics").text, re.MULTILINE)
    )


def last_reload(client):
    """Whether the last load succeeded, and the time of the last one that did."""
    text = client.get("/-/metrics").text
    return [
        float(re.findall(rf"^batchops_exporter_config_last_reload_{name} (\S+)$", text, re.MULTILINE)[0])
        for name in ("successful", "success_timestamp_seconds")
    ]


def test_sighup_reloads(exporter, write):
    """After SIGHUP the exporter has the targets of the new file, and no series of the old ones."""
    process, client = exporter("--config.auto-reload-interval=0s")
    assert accounts(client) == ["a"]
    write("b", "c")
    process.send(signal.SIGHUP)
    until(lambda: "configuration reloaded" in process.stderr)
    assert accounts(client) == ["b", "c"]
    assert 'account="a"' not in client.get("/metrics").text
    assert process.stop() == 0


def test_a_request_reloads_whole_or_not_at_all(exporter, write, tmp_path):
    """POST /-/reload takes over a good file; for a bad one it returns 500 and every problem, and nothing changes."""
    process, client = exporter("--config.auto-reload-interval=0s", "--web.enable-lifecycle")
    _, loaded = last_reload(client)
    write("a", "b")
    assert client.post("/-/reload").status_code == 200
    assert accounts(client) == ["a", "b"]
    assert last_reload(client)[1] > loaded

    _, loaded = last_reload(client)
    (tmp_path / "config.yaml").write_text("accounts:\n- {provider: oss, acount: c}\n")
    refused = client.post("/-/reload")
    assert refused.status_code == 500
    assert "accounts[0].acount: is not a known key" in refused.text
    assert accounts(client) == ["a", "b"]
    assert last_reload(client) == [0, loaded]
    assert "configuration not reloaded" in process.stderr

    write("c")
    assert client.put("/-/reload").status_code == 200
    assert (accounts(client), last_reload(client)[0]) == (["c"], 1)


def test_a_file_that_cannot_be_read_again(exporter, tmp_path):
    """A file that is gone, or is a named pipe now, is an error of the reload, and the last configuration stays."""
    _, client = exporter("--config.auto-reload-interval=0s", "--web.enable-lifecycle")
    (tmp_path / "config.yaml").unlink()
    gone = client.post("/-/reload")
    assert (gone.status_code, "cannot be read: No such file" in gone.text, "--demo" in gone.text) == (500, True, False)
    os.mkfifo(tmp_path / "config.yaml")
    pipe = client.post("/-/reload")
    assert (pipe.status_code, "cannot be read: not a regular file" in pipe.text) == (500, True)
    assert accounts(client) == ["a"]


def test_a_reload_by_request_must_be_enabled(exporter, write):
    """Without --web.enable-lifecycle, POST /-/reload is refused and changes nothing; GET is never allowed."""
    _, client = exporter()
    write("b")
    assert client.post("/-/reload").status_code == 403
    assert client.get("/-/reload").status_code == 405
    assert accounts(client) == ["a"]


def test_a_changed_file_reloads(exporter, write, tmp_path):
    """A changed file is found without a signal, also if a link on the way to it is replaced, as Kubernetes does."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (write("a")).replace(tmp_path / "old" / "config.yaml")
    (write("b")).replace(tmp_path / "new" / "config.yaml")
    (tmp_path / "data").symlink_to("old")
    _, client = exporter("--config.auto-reload-interval=100ms", "--config.file=data/config.yaml")
    assert accounts(client) == ["a"]
    (tmp_path / "swap").symlink_to("new")
    (tmp_path / "swap").replace(tmp_path / "data")
    until(lambda: accounts(client) == ["b"])


def test_an_unchanged_target_keeps_its_history(exporter, write, store):
    """A target whose settings stay the same keeps its snapshot and counters; one that changed is listed again."""
    process, client = exporter("--config.auto-reload-interval=0s", "--web.enable-lifecycle")
    del process
    jobs = {"jobs": {"describe": False}}  # the number of DescribeJob calls depends on their speed
    write("a", "b", min_interval="1h", **jobs)
    client.post("/-/reload").raise_for_status()
    assert accounts(client) == ["a", "b"]
    listed = len(store.requests)

    write("a", "b", "c", min_interval="1h", **jobs)
    client.post("/-/reload").raise_for_status()
    assert accounts(client) == ["a", "b", "c"]
    assert len(store.requests) - listed == listed // 2  # only c

    requested = re.findall(
        r'^batchops_api_requests_total\{[^}]*account="(.)".* (\S+)$', client.get("/metrics").text, re.MULTILINE
    )
    assert dict(requested)["a"] == dict(requested)["b"] != "0.0"
    write("a", min_interval="2h", **jobs)
    client.post("/-/reload").raise_for_status()
    listed = len(store.requests)
    assert accounts(client) == ["a"]
    assert len(store.requests) > listed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_reloads_leave_nothing(exporter, write):
    """After a thousand reloads with other targets and timeouts, memory, connections and open files are as before."""
    process, client = exporter("--config.auto-reload-interval=0s", "--web.enable-lifecycle")

    def usage():
        client.get("/metrics")
        about = Path(f"/proc/{process.pid}")
        memory = int(re.findall(r"VmRSS:\s+(\d+)", (about / "status").read_text())[0])
        return memory / 1024, len([*(about / "fd").iterdir()])

    def reload(rounds):
        for number in rounds:
            write("a", f"account{number}", timeout=f"{number % 7 + 5}s", tls={"server_name": f"host{number}.example"})
            client.post("/-/reload").raise_for_status()
            if number % 20 == 0:
                client.get("/metrics").raise_for_status()

    reload(range(200))
    memory, files = usage()
    reload(range(200, 1200))
    later, later_files = usage()
    assert later - memory < 5, f"{memory} MiB before, {later} MiB after"
    assert later_files <= files + 2
