from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.core.secrets import Credentials, Secret
from exporter.providers.endpoint import Endpoint
from exporter.providers.s3 import S3
from exporter.providers.signatures import sigv4
from tests.simulator.official_s3 import sign_with_botocore

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("sigv4.json").read_text())
SECRET = Secret(VECTORS["secret"])
TOKEN_CHARACTERS = "ABCXYZabcxyz0189+:/=?#-_"
"""Some of each kind that a page token is documented to hold."""

every_vector = pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS["vectors"]]
)
many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])

visible = st.text("".join(map(chr, range(0x21, 0x7F))), min_size=1, max_size=20)
words = st.text("abcxyz019-", min_size=1, max_size=8)
times = st.integers(0, 4_102_444_800)  # up to the year 2100
secrets = st.builds(Credentials, visible, st.builds(Secret, visible), st.none() | st.builds(Secret, visible))
values = st.text(TOKEN_CHARACTERS + " %&é世😀", max_size=10)
pairs = st.tuples(st.sampled_from(["jobStatuses", "maxResults", "nextToken"]) | words, values, st.booleans())
paths = st.lists(st.text("aZ09-_.~ %=+/é世", max_size=8).map(lambda text: quote(text, safe="/")), max_size=2)
more_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "accept", "range"]) | words.map("x-amz-{}".format),
    st.text("ab \t,;=", min_size=1, max_size=8),
    max_size=3,
)


def encoded(parameters: list[tuple[str, str, bool]]) -> str:
    """A query; a parameter without a value has its equals sign or not."""
    return "&".join(
        quote(key, safe="") + ("=" + quote(value, safe="") if value or equals else "")
        for key, value, equals in parameters
    )


@every_vector
def test_stage_1_is_the_official_canonical_request(vector):
    """The canonical request of each vector is the one that botocore makes."""
    parts, headers = urlsplit(vector["url"]), vector["headers"]
    canonical = sigv4.canonical_request(vector["method"], parts.path, parts.query, headers, headers)
    assert canonical.split("\n") == vector["canonical_request"]


@every_vector
def test_stage_2_is_the_official_string_to_sign(vector):
    """The string to sign of each vector follows from the official canonical request."""
    canonical = "\n".join(vector["canonical_request"])
    text = sigv4.string_to_sign(canonical, vector["headers"]["x-amz-date"], vector["region"])
    assert text.split("\n") == vector["string_to_sign"]


@every_vector
def test_stage_3_is_the_official_signature(vector):
    """The signature of each vector follows from the official string to sign."""
    text = "\n".join(vector["string_to_sign"])
    signature = sigv4.signature(text, SECRET, vector["headers"]["x-amz-date"], vector["region"])
    assert signature == vector["authorization"].rpartition("Signature=")[2]


@every_vector
def test_all_stages_make_the_official_header(vector):
    """The header Authorization of each vector is the official one, to the byte."""
    parts = urlsplit(vector["url"])
    authorization = sigv4.authorization(
        method=vector["method"],
        path=parts.path,
        query=parts.query,
        headers=vector["headers"],
        region=vector["region"],
        key_id=VECTORS["key_id"],
        secret=SECRET,
    )
    assert authorization == vector["authorization"]


@many
@given(paths, st.lists(pairs, max_size=4), more_headers, words, secrets, times)
def test_any_request_is_signed_as_officially(path, parameters, headers, region, keys, now):
    """Whatever path, query, headers, keys, region and time: each stage as botocore, which leaves an S3 path as sent."""
    path, query = "/" + "/".join(path), encoded(parameters)
    url = f"https://s3.example{path}{'?' + query if query else ''}"
    signed = sign_with_botocore("GET", url, headers, keys, region, now)
    sent = {**signed.headers, "host": "s3.example"}
    official = sent.pop("authorization")
    canonical = sigv4.canonical_request("GET", path, query, sent, sent)
    assert canonical == signed.canonical
    assert sigv4.string_to_sign(canonical, sent[sigv4.DATE_HEADER], region) == signed.text
    authorization = sigv4.authorization(
        method="GET", path=path, query=query, headers=sent, region=region, key_id=keys.key_id, secret=keys.secret
    )
    assert authorization == official


@many
@given(
    st.none() | st.text(TOKEN_CHARACTERS, min_size=1, max_size=40) | st.text(" %&é世😀", min_size=1, max_size=6),
    st.none() | st.text("abcXYZ019-_", min_size=5, max_size=36) | st.text("a=/ é%", min_size=1, max_size=6),
    st.sampled_from(["123456789012.s3-control.eu-west-1.amazonaws.com", "127.0.0.1:10084", "s3.example"]),
    words,
    secrets,
    times,
    st.floats(0, 0.999),
)
def test_what_is_sent_is_signed_as_officially(token, job_id, host, region, keys, now, fraction):
    """The headers of every request are account, date, payload, token, and what botocore makes of them and the host."""
    api = S3(Endpoint("https", host), region, "123456789012")
    unsigned = api.list_request(token) if job_id is None else api.describe_request(job_id)
    request = api.sign(unsigned, keys, now + fraction)
    assert request.headers == sign_with_botocore("GET", request.url, unsigned.headers, keys, region, now).headers
    assert request.headers.keys() - {"x-amz-security-token"} == {
        "authorization",
        "x-amz-account-id",
        "x-amz-content-sha256",
        "x-amz-date",
    }
    assert request.headers.get("x-amz-security-token") == (keys.token and keys.token.reveal())
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(names) == {"host", *request.headers} - {"authorization"}


def test_each_part_of_a_request_counts():
    """Another method, path, query, header, region, time or secret gives another signature."""
    headers = {"host": "s3.example", "x-amz-date": "20261122T053000Z", "x-amz-security-token": "token"}
    base: dict[str, Any] = {
        "method": "GET",
        "path": "/v20180820/jobs",
        "query": "maxResults=1",
        "headers": headers,
        "region": "us-west-2",
        "key_id": "id",
        "secret": SECRET,
    }
    others: list[dict[str, Any]] = [
        {"method": "PUT"},
        {"path": "/v20180820/jobs/a"},
        {"query": "maxResults=2"},
        {"headers": headers | {"host": "other.example"}},
        {"headers": headers | {"x-amz-security-token": "other"}},
        {"headers": headers | {"x-amz-account-id": "123456789012"}},
        {"headers": headers | {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}},
        {"headers": headers | {"x-amz-date": "20261122T053001Z"}},
        {"headers": headers | {"x-amz-date": "20261123T053000Z"}},
        {"region": "us-west-1"},
        {"secret": Secret("other")},
    ]
    signatures = {sigv4.authorization(**base | other).rpartition("Signature=")[2] for other in [{}, *others]}
    assert len(signatures) == len(others) + 1
