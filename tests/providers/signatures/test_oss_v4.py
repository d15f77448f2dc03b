from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.core.secrets import Credentials, Secret
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.providers.signatures import oss_v4

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("oss-v4.json").read_text())
SECRET = Secret(VECTORS["secret"])
TOKEN_CHARACTERS = "ABCXYZabcxyz0189+:/=?#-_"
"""Some of each kind that a page token is documented to hold."""

every_vector = pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS["vectors"]]
)
thousands = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

visible = st.text("".join(map(chr, range(0x21, 0x7F))), min_size=1, max_size=20)
words = st.text("abcxyz019-", min_size=1, max_size=8)
times = st.integers(0, 4_102_444_800)  # up to the year 2100
secrets = st.builds(Credentials, visible, st.builds(Secret, visible), st.none() | st.builds(Secret, visible))
values = st.text(TOKEN_CHARACTERS, max_size=30) | st.text(" %&é世😀", max_size=6)
pairs = st.tuples(st.sampled_from(["batchJob", "max-keys", "continuation-token"]) | words, values, st.booleans())
more_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "host", "accept", "x-os", "range"]) | words.map("x-oss-{}".format),
    st.tuples(visible, st.booleans()),
    max_size=5,
)
"""Each with its value, and whether it is to be signed although it need not be."""


def encoded(parameters: list[tuple[str, str, bool]]) -> str:
    """A query; a parameter without a value has its equals sign or not."""
    return "&".join(
        quote(key, safe="") + ("=" + quote(value, safe="") if value or equals else "")
        for key, value, equals in parameters
    )


def official(
    url: str, headers: dict[str, str], additional: set[str], region: str, keys: Credentials, now: float
) -> Any:
    """The signing context of the official package, after it has signed a request."""
    from alibabacloud_oss_v2 import types
    from alibabacloud_oss_v2.signer.v4 import SignerV4

    context = types.SigningContext(
        product="oss",
        region=region,
        request=types.HttpRequest("GET", url, headers),
        credentials=types.Credentials(keys.key_id, keys.secret.reveal(), keys.token.reveal() if keys.token else None),
        signing_time=datetime.fromtimestamp(now, UTC),
        additional_headers=additional,
    )
    SignerV4().sign(context)
    return context


@every_vector
def test_stage_1_is_the_official_canonical_request(vector):
    """The canonical request of each vector is the one that the official package makes."""
    parts = urlsplit(vector["url"])
    canonical = oss_v4.canonical_request(
        vector["method"], parts.path, parts.query, vector["headers"], vector["additional"]
    )
    assert canonical.split("\n") == vector["canonical_request"]


@every_vector
def test_stage_2_is_the_official_string_to_sign(vector):
    """The string to sign of each vector follows from the official canonical request."""
    canonical = "\n".join(vector["canonical_request"])
    text = oss_v4.string_to_sign(canonical, vector["headers"]["x-oss-date"], vector["region"])
    assert text.split("\n") == vector["string_to_sign"]


@every_vector
def test_stage_3_is_the_official_signature(vector):
    """The signature of each vector follows from the official string to sign."""
    text = "\n".join(vector["string_to_sign"])
    signature = oss_v4.signature(text, SECRET, vector["headers"]["x-oss-date"], vector["region"])
    assert signature == vector["authorization"].rpartition("Signature=")[2]


@every_vector
def test_all_stages_make_the_official_header(vector):
    """The header Authorization of each vector is the official one, to the byte."""
    parts = urlsplit(vector["url"])
    authorization = oss_v4.authorization(
        method=vector["method"],
        path=parts.path,
        query=parts.query,
        headers=vector["headers"],
        region=vector["region"],
        key_id=VECTORS["key_id"],
        secret=SECRET,
        additional=vector["additional"],
    )
    assert authorization == vector["authorization"]


@thousands
@given(st.lists(pairs, min_size=1, max_size=6), more_headers, words, secrets, times)
def test_any_request_is_signed_as_officially(parameters, headers, region, keys, now):
    """Whatever query, headers, additional headers, keys, region and time: each stage as the official package."""
    from alibabacloud_oss_v2.signer.v4 import SignerV4

    query = encoded(parameters)
    additional = {name for name, (_, more) in headers.items() if more and not name.startswith(("x-oss-", "content-"))}
    others = {name: value for name, (value, _) in headers.items()}
    context = official(f"https://host/?{query}", others, additional, region, keys, now)
    sent = {name.lower(): value for name, value in context.request.headers.items()}
    names = [name.upper() for name in additional]
    canonical = oss_v4.canonical_request("GET", "/", query, sent, names)
    assert canonical == SignerV4()._calc_canonical_request(context, sorted(additional))
    assert oss_v4.string_to_sign(canonical, sent[oss_v4.DATE_HEADER], region) == context.string_to_sign
    authorization = oss_v4.authorization(
        method="GET",
        path="/",
        query=query,
        headers=sent,
        region=region,
        key_id=keys.key_id,
        secret=keys.secret,
        additional=names,
    )
    assert authorization == sent["authorization"]


@thousands
@given(
    st.none() | st.text(TOKEN_CHARACTERS, min_size=1, max_size=60) | st.text(" %&é世😀", min_size=1, max_size=6),
    st.integers(1, 1000),
    words,
    secrets,
    times,
    st.floats(0, 0.999),
)
def test_what_is_sent_is_signed_as_officially(token, page_size, region, keys, now, fraction):
    """The headers of every ListJobs request are those that the official package would send with the same URL."""
    api = Oss(Endpoint("https", "oss.example"), region, page_size)
    request = api.sign(api.list_request(token), keys, now + fraction)
    context = official(request.url, {}, set(), region, keys, now)
    expected = {name.lower(): value for name, value in context.request.headers.items()}
    del expected["date"]  # not signed, and the exporter sends none
    assert request.headers == expected


def test_blanks_around_a_header_are_not_signed():
    """A header's value counts without the blanks around it, as HTTP takes them off on the way."""
    canonical = oss_v4.canonical_request("GET", "/", "", {"x-oss-a": "  b c\t"})
    assert "\nx-oss-a:b c\n" in canonical


def test_each_part_of_a_request_counts():
    """Another method, path, query, header, region, time or secret gives another signature."""
    headers = {"x-oss-date": "20261122T053000Z", "x-oss-security-token": "token"}
    base: dict[str, Any] = {
        "method": "GET",
        "path": "/",
        "query": "batchJob",
        "headers": headers,
        "region": "cn-hangzhou",
        "key_id": "id",
        "secret": SECRET,
    }
    others: list[dict[str, Any]] = [
        {"method": "PUT"},
        {"path": "/a"},
        {"query": "batchJob&max-keys=1"},
        {"headers": headers | {"x-oss-security-token": "other"}},
        {"headers": headers | {"x-oss-date": "20261122T053001Z"}},
        {"headers": headers | {"x-oss-date": "20261123T053000Z"}},
        {"region": "cn-beijing"},
        {"secret": Secret("other")},
    ]
    signatures = {oss_v4.authorization(**base | other).rpartition("Signature=")[2] for other in [{}, *others]}
    assert len(signatures) == len(others) + 1
