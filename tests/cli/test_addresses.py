"""Sockets in the file system, sockets of systemd, and a reverse proxy."""

from __future__ import annotations

import contextlib
import html
import re
import subprocess

import httpx
import pytest

from tests import needs
from tests.cli.conftest import PATIENCE
from tests.cli.test_serving import assert_clean
from tests.rawserver import free_port
from tests.waiting import until


def test_a_socket_in_the_file_system_is_served(start, tmp_path_factory):
    """`unix:/path` is served, is named in the log, and is gone when the process has ended."""
    path = tmp_path_factory.mktemp("s") / "a.sock"
    demo = start("--demo", f"--web.listen-address=unix:{path}")
    until(lambda: f"msg=listening url=unix:{path}\n" in demo.stderr, state=lambda: demo.stderr)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
        for name in ("/metrics", "/sd", "/"):
            assert client.get(f"http://exporter{name}").status_code == 200
    assert_clean(demo)
    assert not path.exists()


def test_sockets_of_systemd_are_served(start):
    """`--web.systemd-socket` serves the sockets that systemd's own program passes."""
    program = needs.program("systemd-socket-activate", package="systemd")
    ports = [free_port() for _ in range(2)]
    addresses = [f"--listen=127.0.0.1:{port}" for port in ports]
    demo = start("--demo", "--web.systemd-socket", argv=(program, "--setenv=PYTHONPATH", *addresses))
    until(lambda: len(demo.lines) >= 2, state=lambda: demo.stderr)
    for port in ports:  # the first connection starts the exporter
        with httpx.Client(transport=httpx.HTTPTransport(retries=5), timeout=PATIENCE) as client:
            assert client.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    assert sorted(demo.urls) == sorted(f"http://127.0.0.1:{port}" for port in ports)
    assert_clean(demo)


def test_no_socket_of_systemd(run):
    """Started by hand, `--web.systemd-socket` is one message and exit code 1."""
    done = run("--demo", "--web.systemd-socket", "--log.level=error")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("batchops-exporter: --web.systemd-socket: systemd has passed no socket")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def nginx(tmp_path):
    """Starts an nginx that passes a location to an upstream, and returns its URL."""
    program = needs.program("nginx", package="nginx-light")
    with contextlib.ExitStack() as opened:

        def starting(port, proxy_pass):
            (tmp_path / "nginx.conf").write_text(
                f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b;\n"
                f"fastcgi_temp_path {tmp_path}/c; uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;\n"
                f"server {{ listen 127.0.0.1:{port}; location /batchops/ {{ proxy_pass {proxy_pass}; }} }} }}\n"
            )
            command = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
            with (tmp_path / "nginx.log").open("wb") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            opened.callback(process.wait, PATIENCE)
            opened.callback(process.terminate)

        yield starting


@pytest.mark.parametrize("path", ["", "/"], ids=["kept", "stripped"])
def test_behind_nginx(path, start, nginx):
    """Behind a real nginx, which strips the path or leaves it, every link and every entry of /sd works."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/batchops"
    demo = start("--demo", f"--web.external-url={base}/", "--web.listen-address=127.0.0.1:0")
    nginx(port, demo.wait_until_it_listens() + path)
    with httpx.Client(transport=httpx.HTTPTransport(retries=20), timeout=PATIENCE) as client:
        page = client.get(f"{base}/")
        assert page.status_code == 200
        links = [html.unescape(link) for link in re.findall(r'<a href="([^"]+)"', page.text)]
        assert f"{base}/metrics" in links
        assert {client.get(link).status_code for link in links} == {200}
        for entry in client.get(f"{base}/sd").json():
            labels = entry["labels"]
            target = f"{labels['__scheme__']}://{entry['targets'][0]}{labels['__metrics_path__']}"
            assert client.get(target, params={"target": labels["__param_target"]}).status_code == 200
    assert_clean(demo)
