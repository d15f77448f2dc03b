from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.core.secrets import Credentials, Secret
from exporter.providers.cos import LATE_SECONDS, Cos
from exporter.providers.endpoint import Endpoint
from exporter.providers.signatures import cos_sha1
from tests.simulator import official_cos

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("cos_sha1.json").read_text())["vectors"]
BASE: dict[str, Any] = {
    "method": "GET",
    "path": "/jobs",
    "query": "maxResults=1000&nextToken=a",
    "headers": {"host": "host.example", "x-cos-appid": "1250000000"},
    "key_id": "id",
    "secret": Secret("secret"),
    "times": "1795325340;1795329000",
}

every_vector = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS])
every_staged_vector = pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS if "http_string" in vector]
)
thousands = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])

visible = st.text("".join(map(chr, range(0x21, 0x7F))), min_size=1, max_size=20)
words = st.text("abcXYZ019-", min_size=1, max_size=8)
texts = st.text("ABCxyz019+:/=?#-_.~;", max_size=20) | st.text(" %&é世😀", max_size=6)
times = st.integers(100, 4_102_444_800)  # up to the year 2100
secrets = st.builds(Credentials, visible, st.builds(Secret, visible), st.none() | st.builds(Secret, visible))
parameters = st.dictionaries(words.map(str.lower) | texts.map("a{}".format).map(str.lower), texts, max_size=4)
signed_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "expect", "range"])
    | words.map(lambda word: f"x-cos-{word.lower()}")
    | words.map(lambda word: f"x-ci-{word.lower()}"),
    texts,
    max_size=3,
)
other_headers = st.dictionaries(
    st.sampled_from(["accept", "user-agent", "date", "x-c", "authorization"]), texts, max_size=2
)


def encoded(pairs: dict[str, str]) -> str:
    """A query, each name with the letters' case changed somewhere, which is not signed."""
    return "&".join(
        f"{quote(name.replace('a', 'A'), safe='')}={quote(value, safe='')}" for name, value in pairs.items()
    )


@every_staged_vector
def test_stage_1_is_the_official_http_string(vector):
    """The request of each vector in one form is the one that the official package makes."""
    text = cos_sha1.http_string(vector["method"], vector["path"], vector["query"], vector["signed_headers"])
    assert text.split("\n") == vector["http_string"]


@every_staged_vector
def test_stage_2_is_the_official_string_to_sign(vector):
    """The string to sign of each vector follows from the official stage 1."""
    text = cos_sha1.string_to_sign("\n".join(vector["http_string"]), vector["key_time"])
    assert text.split("\n") == vector["string_to_sign"]


@every_staged_vector
def test_stage_3_is_the_official_signature(vector):
    """The signature of each vector follows from the official string to sign."""
    signature = cos_sha1.signature("\n".join(vector["string_to_sign"]), Secret(vector["secret"]), vector["key_time"])
    assert signature == vector["authorization"].rpartition("q-signature=")[2]


@every_vector
def test_all_stages_make_the_official_header(vector):
    """The header Authorization of each vector, published ones among them, is the official one, to the byte."""
    authorization = cos_sha1.authorization(
        method=vector["method"],
        path=vector["path"],
        query=vector["query"],
        headers=vector["signed_headers"],
        key_id=vector["key_id"],
        secret=Secret(vector["secret"]),
        times=vector["key_time"],
    )
    assert authorization == vector["authorization"]


@thousands
@given(
    st.sampled_from(["GET", "PUT", "HEAD"]),
    st.text("/abc%+ (é世", max_size=9).map("/{}".format),
    parameters,
    signed_headers,
    other_headers,
    secrets,
    times,
    st.integers(0, 10**6),
)
def test_any_request_is_signed_as_officially(method, path, pairs, headers, others, keys, now, late):
    """Whatever method, path, parameters, headers, keys and times: the header is the official package's."""
    path, query, headers = quote(path), encoded(pairs), {"host": "host.example:8443", **headers}
    signed = official_cos.authorization(
        method,
        f"https://host.example:8443{path}?{query}",
        headers | others,
        keys.key_id,
        keys.secret.reveal(),
        now=now + 0.9,
        late=late,
    )
    authorization = cos_sha1.authorization(
        method=method,
        path=path,
        query=query,
        headers=headers,
        key_id=keys.key_id,
        secret=keys.secret,
        times=cos_sha1.key_time(now - 60, now + late),
    )
    assert authorization == signed


@thousands
@given(
    st.none() | texts.filter(bool),
    st.none() | texts.filter(bool),
    st.integers(1, 1000),
    st.text("0123456789", min_size=1, max_size=12),
    st.sampled_from(["1.cos-control.ap-chengdu.myqcloud.com", "127.0.0.1:10084", "[::1]:8443"]),
    secrets,
    times,
    st.floats(0, 0.999),
)
def test_what_is_sent_is_signed_as_officially(token, job_id, page_size, appid, host, keys, now, fraction):
    """Each request has the APPID, the token, and what the official package makes of the whole of it."""
    api = Cos(Endpoint("https", host), appid, page_size)
    request = api.list_request(token) if job_id is None else api.describe_request(job_id)
    request = api.sign(request, keys, now + fraction)
    sent = dict(request.headers)
    signed = official_cos.authorization(
        "GET", request.url, {**sent, "host": host}, keys.key_id, keys.secret.reveal(), now=now, late=LATE_SECONDS
    )
    assert sent.pop("authorization") == signed
    assert sent.pop("x-cos-security-token", None) == (keys.token.reveal() if keys.token else None)
    assert sent == {"x-cos-appid": appid}


def test_a_parameter_without_a_value_is_signed_as_empty():
    """`a` and `a=` are signed alike, and both are listed."""
    bare, empty = (cos_sha1.authorization(**BASE | {"query": query}) for query in ("a&b=1", "b=1&a="))
    assert bare == empty
    assert "&q-url-param-list=a;b&" in bare


@pytest.mark.parametrize(
    "other",
    [
        {"method": "PUT"},
        {"path": "/jobs/"},
        {"query": "maxResults=999&nextToken=a"},
        {"query": "maxResults=1000"},
        {"headers": {"host": "other.example", "x-cos-appid": "1250000000"}},
        {"headers": {"host": "host.example", "x-cos-appid": "1250000001"}},
        {"headers": {"host": "host.example"}},
        {"secret": Secret("other")},
        {"times": "1795325341;1795329000"},
        {"times": "1795325340;1795329001"},
    ],
)
def test_each_part_of_a_request_counts(other):
    """Another method, path, parameter, header, secret or time gives another signature."""
    one, another = (cos_sha1.authorization(**parts).rpartition("q-signature=")[2] for parts in (BASE, BASE | other))
    assert one != another


def test_only_the_key_id_tells_whose_signature_it_is():
    """The key id is in the header and is not signed."""
    authorization = cos_sha1.authorization(**BASE | {"key_id": "another"})
    assert authorization == cos_sha1.authorization(**BASE).replace("q-ak=id&", "q-ak=another&")
