from __future__ import annotations

import http.client
import ssl
import threading
from contextlib import closing

import pytest
import trustme

from exporter.simulator import Fault, create_app
from tests.serving import serve
from tests.simulator.official_oss import sign


def test_an_application_is_served_over_tls(store, tmp_path):
    """With a certificate the URL is https, the application answers there, and a cut ends the connection there too."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    issued = authority.issue_cert("127.0.0.1")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    with serve(create_app(store), certfile=files[0], keyfile=files[1]) as url:
        assert url.startswith("https://127.0.0.1:")
        for fault in (None, Fault("cut")):
            with closing(
                http.client.HTTPSConnection(url.removeprefix("https://"), timeout=5, context=context)
            ) as connection:
                if fault:
                    store.faults.add(fault)
                connection.request("GET", "/?batchJob", headers=sign(store, "batchJob").headers)
                response = connection.getresponse()
                if fault:
                    with pytest.raises(http.client.IncompleteRead):
                        response.read()
                else:
                    assert response.read().endswith(b"</ListJobsResult>\n")


def test_nothing_is_left_when_the_block_ends(store):
    """After the `with` the port is closed and the server's thread has ended, also where a connection was left open."""
    before = threading.active_count()
    with serve(create_app(store)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
        connection.request("GET", "/-/faults")
        assert connection.getresponse().read() == b"[]"
    assert threading.active_count() == before
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/-/faults")
