"""The routes that set faults while the simulator runs."""

from __future__ import annotations

import base64
import http.client
import json
from contextlib import closing

import pytest

from exporter.simulator import Fault, Store, World, create_app
from exporter.simulator.responder import Responder
from tests.serving import serve
from tests.simulator.official_oss import ask


def control(url, method, body=None, query=""):
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, f"/-/faults{query}", body=raw)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, json.loads(text) if response.status == 200 else text


def test_faults_are_set_and_removed_over_http(store, store_url):
    """A posted fault applies immediately, is returned by GET, and no longer applies after it is deleted."""
    name = {"region": store.region, "access_key_id": store.access_key_id}
    assert control(store_url, "GET") == (200, [])
    fault = {"kind": "error", "status": 503, "code": "SlowDown", "page": 1, "headers": ["Retry-After: 1"]}
    status, faults = control(store_url, "POST", fault)
    assert (status, faults[0].items() >= (name | fault).items()) == (200, True)
    assert control(store_url, "GET") == (200, faults)
    assert ask(store_url, store, "batchJob").code == "SlowDown"
    assert control(store_url, "DELETE") == (200, [])
    assert ask(store_url, store, "batchJob").status == 200


def test_returned_faults_can_be_posted(store, store_url):
    """A list of faults of all kinds is returned as it was posted, including bodies."""
    faults = [
        {"kind": "body", "status": 200, "base64": base64.b64encode(b"\x00<").decode()},
        {"kind": "delay", "seconds": 0.25, "times": 3, "operation": "ListJobs"},
        {"kind": "oversize", "size": 100, "chunked": True},
        {"kind": "redirect", "url": "http://127.0.0.1:9/"},
    ]
    assert control(store_url, "POST", faults)[0] == 200
    assert [fault.as_json() for fault in store.faults] == faults
    assert next(iter(store.faults)).body == b"\x00<"
    control(store_url, "POST", {"kind": "body", "text": "not <xml"})
    assert [fault.body for fault in store.faults if fault.kind == "body"] == [b"\x00<", b"not <xml"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the body must be JSON: "),
        (b"\xff", "the body must be JSON: "),
        (b"3", "faults[0]: must be a mapping, not an integer"),
        (b"[]", "faults: must not be empty: a list of mappings, each with a kind"),
        ({}, "faults[0].kind: is required"),
        ({"kind": "eror"}, "faults[0].kind: "),
        ({"kind": "error", "staus": 500}, "faults[0].staus: is not a known key; did you mean status?"),
        ({"kind": "close", "status": 500}, "faults[0].status: is not a known key"),
        ({"kind": "error", "status": 700}, "faults[0].status: must be from 200 to 599, not 700"),
        ({"kind": "error", "headers": ["a b"]}, "faults[0].headers[0]: must be a header as in 'Retry-After: 5'"),
        ({"kind": "error", "headers": ["A: b\r\nC: d"]}, "faults[0].headers[0]: must be a header"),
        ({"kind": "delay", "seconds": "1s"}, "faults[0].seconds: must be a number, not a string"),
        ({"kind": "body", "base64": "%"}, "faults[0].base64: must be base64"),
        ({"kind": "body", "base64": "aa==", "text": "x"}, "faults[0].text: cannot be combined with base64"),
        ({"kind": "redirect"}, "faults[0].url: is required: where to"),
        ([{"kind": "close"}, {"kind": "cut", "page": 0}], "faults[1].page: must be from 1 to 1000000, not 0"),
    ],
)
def test_an_invalid_fault_is_rejected_and_not_set(store, store_url, body, sentence):
    """An invalid fault returns 400 with every problem, and no fault is set."""
    status, text = control(store_url, "POST", body)
    assert (status, text[: len(sentence)]) == (400, sentence)
    assert list(store.faults) == []


def test_control_may_be_narrowed_to_some_stores():
    """`region` and `access_key_id` select stores; a value that no store has is an error."""
    stores = [
        Store(World.fixed(), region=region, access_key_id=key_id)
        for region in ("cn-hangzhou", "ap-southeast-1")
        for key_id in ("one", "two")
    ]
    with serve(create_app(stores)) as url:
        control(url, "POST", {"kind": "close"}, "?region=cn-hangzhou")
        control(url, "POST", {"kind": "empty"}, "?region=ap-southeast-1&access_key_id=two")
        assert [list(store.faults) for store in stores] == [[Fault("close")], [Fault("close")], [], [Fault("empty")]]
        control(url, "DELETE", query="?access_key_id=two")
        assert [list(store.faults) for store in stores] == [[Fault("close")], [], [], []]
        assert control(url, "GET", query="?region=mars") == (
            400,
            "no store has region 'mars' and access_key_id ''\n",
        )
        assert control(url, "GET", query="?regoin=x")[1] == "regoin: is not a known key; did you mean region?\n"


def test_a_simulator_needs_a_store():
    """An application needs at least one store."""
    with pytest.raises(ValueError, match="at least one store"):
        Responder([])
