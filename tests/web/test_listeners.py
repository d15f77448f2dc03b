from __future__ import annotations

import os
import socket

import pytest

from exporter.web.listeners import AddressError, UnixAddress, listening, parse_address, passed_by_systemd, url


@pytest.fixture
def directory(tmp_path_factory):
    """A directory with a short name: the path of a socket has at most 107 characters."""
    return tmp_path_factory.mktemp("s")


@pytest.mark.parametrize("text", ["127.0.0.1:1", "[::1]:2", "a.example:3", ":4", "unix:/run/a b.sock"])
def test_an_address_is_shown_as_it_is_written(text):
    """An address is written in messages as it is in its flag."""
    assert str(parse_address(text)) == text


def test_a_socket_in_the_file_system(directory):
    """A socket is made at the path, and removed at the end; one without a listener is replaced."""
    path = directory / "a.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with listening([UnixAddress(path)]) as (bound,):
        assert url(bound) == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_a_socket_in_use_and_other_files_are_kept(directory):
    """A path on which another process listens, or which is no socket, is a problem and left as it is."""
    used, file = directory / "used.sock", directory / "file"
    file.write_text("kept")
    with listening([UnixAddress(used)]):
        for path in (used, file):
            with pytest.raises(AddressError, match=f"cannot listen on unix:{path}: Address already in use"):
                listening([UnixAddress(path)]).__enter__()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(used))
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    "variables",
    [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": "own", "LISTEN_FDS": "0"}, {"LISTEN_FDS": "x"}],
)
def test_no_socket_of_systemd_is_one_message(variables):
    """Without sockets for this process, one message says how it has to be started."""
    environment = {name: text.replace("own", str(os.getpid())) for name, text in variables.items()}
    with pytest.raises(AddressError, match=r"systemd has passed no socket .* unit of type \.socket"):
        passed_by_systemd(environment).__enter__()
