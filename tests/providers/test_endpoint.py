from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.core.http import is_loopback
from exporter.core.section import Section
from exporter.providers.endpoint import LONGEST, Endpoint

if TYPE_CHECKING:
    from exporter.core.errors import Problem

DEFAULT = "https://oss-{region}.aliyuncs.com"
NO_URL = "must be a URL such as https://oss-cn-hangzhou.aliyuncs.com, without path, query or user"
CLEAR_TEXT = "would send signatures unencrypted over http://; use https://, or set allow_http: true"


def read(mapping: dict[str, Any], **names: str) -> tuple[Endpoint, list[str]]:
    """The endpoint of an account with the keys of `mapping`, and the problems with them."""
    problems: list[Problem] = []
    section = Section(mapping, "accounts[0]", problems)
    endpoint = Endpoint.from_section(section, DEFAULT, **({"region": "cn-hangzhou"} | names))
    section.reject_unknown()
    return endpoint, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "scheme", "host"),
    [
        (DEFAULT, "https", "oss-cn-hangzhou.aliyuncs.com"),
        ("https://oss-{region}-internal.aliyuncs.com", "https", "oss-cn-hangzhou-internal.aliyuncs.com"),
        ("https://{region}.{region}.example", "https", "cn-hangzhou.cn-hangzhou.example"),
        ("https://store.example/", "https", "store.example"),
        ("HTTPS://Store.EXAMPLE", "https", "store.example"),
        ("https://store.example:443", "https", "store.example"),
        ("https://store.example:8443/", "https", "store.example:8443"),
        ("https://store.example:80", "https", "store.example:80"),
        ("https://store", "https", "store"),
        ("https://store_1.example", "https", "store_1.example"),
        ("https://192.0.2.1:9000", "https", "192.0.2.1:9000"),
        ("https://[2001:db8::1]", "https", "[2001:db8::1]"),
        ("https://[2001:DB8::1]:9000", "https", "[2001:db8::1]:9000"),
        ("https://xn--fiqs8s.example", "https", "xn--fiqs8s.example"),
        ("http://127.0.0.1:8080", "http", "127.0.0.1:8080"),
        ("http://127.0.0.1:80", "http", "127.0.0.1"),
        ("http://127.0.0.1:443", "http", "127.0.0.1:443"),
        ("http://127.9.9.9", "http", "127.9.9.9"),
        ("http://localhost:8080", "http", "localhost:8080"),
        ("http://LOCALHOST", "http", "localhost"),
        ("http://[::1]:8080", "http", "[::1]:8080"),
    ],
)
def test_good_endpoints(text, scheme, host):
    """An endpoint is a scheme and a host, in lower case, with its port where that is not the scheme's own."""
    assert read({"endpoint": text}) == (Endpoint(scheme, host), [])


def test_the_default_needs_no_key():
    """Without the key, the provider's own endpoint is taken, with the region filled in."""
    assert read({}) == (Endpoint("https", "oss-cn-hangzhou.aliyuncs.com"), [])
    assert read({}, region="ap-southeast-1") == (Endpoint("https", "oss-ap-southeast-1.aliyuncs.com"), [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "oss-cn-hangzhou.aliyuncs.com",
        "//store.example",
        "https:store.example",
        "https:/store.example",
        "https://",
        "https:///",
        "ftp://store.example",
        "unix:///run/store",
        "https://store.example/bucket",
        "https://store.example//",
        "https://store.example?batchJob",
        "https://store.example/?a=b",
        "https://store.example/#a",
        "https://key:secret@store.example",
        "https://key@store.example",
        "https://@store.example",
        "https://store.example:",
        "https://store.example:0",
        "https://store.example:65536",
        "https://store.example:-1",
        "https://store.example:0443",
        "https://store.example:https",
        "https://store.example:443:443",
        "https://store example",
        "https://store.example\\@evil.example",
        "https://store..example",
        "https://.store.example",
        "https://store.example.",
        "https://-store.example",
        "https://störe.example",
        "https://store.example\uff0fa",
        "https://%73tore.example",
        "https://*.example",
        "https://[::1",
        "https://[::1]x",
        "https://[fe80::1%25eth0]",
        "https://{region",
        "https://region}",
        "https://store.example;a",
        "https://a,b",
    ],
)
def test_bad_endpoints(text):
    """What is no URL of a bare host is a problem with its key's path; the text, which may be a secret, is not shown."""
    _, problems = read({"endpoint": text})
    assert problems == [f"accounts[0].endpoint: {NO_URL}"]


@pytest.mark.parametrize("value", [1, True, ["https://store.example"], None, "https://store.example\n", "https://a\tb"])
def test_what_is_no_line_of_text_is_told_once(value):
    """A value of another type, or with characters that cannot be seen, is one problem, not two."""
    _, problems = read({"endpoint": value})
    assert len(problems) == 1


@pytest.mark.parametrize(
    "host",
    [
        "store.example",
        "localhost.example",
        "127.0.0.1.example",
        "192.0.2.1",
        "127.1",
        "0.0.0.0",
        "[2001:db8::1]",
        "[::]",
    ],
)
def test_clear_text_needs_permission_or_loopback(host):
    """http:// is refused but on a loopback address, and allowed where allow_http says so."""
    assert read({"endpoint": f"http://{host}:8080"})[1] == [f"accounts[0].endpoint: {CLEAR_TEXT}"]
    assert read({"endpoint": f"http://{host}:8080", "allow_http": False})[1] == [f"accounts[0].endpoint: {CLEAR_TEXT}"]
    allowed = read({"endpoint": f"http://{host}:8080", "allow_http": True})
    assert allowed == (Endpoint("http", f"{host}:8080"), [])


def test_allow_http_is_a_boolean():
    """A word in the place of true or false is told, and allows nothing."""
    _, problems = read({"endpoint": "http://store.example", "allow_http": "yes"})
    assert problems == [
        "accounts[0].allow_http: must be true or false, not a string; write true",
        f"accounts[0].endpoint: {CLEAR_TEXT}",
    ]


def test_what_is_filled_in_is_named():
    """A name in braces that the provider does not fill in is told together with those that it does."""
    _, problems = read({"endpoint": "https://{uin}.{zone}.example"}, uin="1", region="r")
    assert problems == ["accounts[0].endpoint: {zone} is not a known placeholder; known: {region}, {uin}"]
    _, problems = read({"endpoint": "https://{}.example"})
    assert problems == ["accounts[0].endpoint: {} is not a known placeholder; known: {region}"]


def test_what_is_filled_in_cannot_leave_the_host():
    """A value that is filled in does not turn the host into another one."""
    for value in ("a/b", "a@evil.example", "a?b", "a#b", "a:1@b", "a b", ""):
        assert read({"endpoint": "https://oss-{region}.example"}, region=value)[1] == (
            [f"accounts[0].endpoint: {NO_URL}"] if value else []
        )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:80", True),
        ("127.0.0.1", True),
        ("127.255.255.254:9", True),
        ("[::1]", True),
        ("[::1]:9", True),
        ("", False),
        ("example", False),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("[::2]", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_this_machine_only(host, expected):
    """Only localhost and loopback addresses, with or without a port, are this machine."""
    assert is_loopback(host) is expected


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=30) | st.text("htps:/.@[]{}region%?#\\a1-", max_size=30).map("https://{}".format))
@example("https://[::1%25]")
@example("https://[v1.a]")
def test_any_text_is_an_endpoint_or_a_problem(text):
    """Whatever the text: it is told as a problem, or its host is plain ASCII without user, path or query."""
    endpoint, problems = read({"endpoint": text})
    if not problems:
        assert endpoint.scheme == "https" or is_loopback(endpoint.host)
        assert endpoint.host.isascii()
        assert endpoint.host
        assert not set(endpoint.host) & set("/?#@\\ %{}")


def test_the_longest_endpoint():
    """An endpoint of the largest length is read, and one that is longer is a problem."""
    fits = "https://" + ".".join(["a" * 62] * 8)
    assert len(fits) == LONGEST - 1
    assert read({"endpoint": fits + "a"}) == (Endpoint("https", fits[8:] + "a"), [])
    assert read({"endpoint": fits + "aa"})[1] == [f"accounts[0].endpoint: {NO_URL}"]
