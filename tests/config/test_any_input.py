from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Config, parse
from exporter.core.errors import ConfigError

KEYS = st.sampled_from(
    [
        *("defaults", "accounts", "provider", "account", "regions", "credentials", "source", "static", "jobs", "tls"),
        *("endpoint", "allow_http", "page_size", "timeout", "retries", "requests_per_second", "proxy_url", "max_age"),
        *("access_key_id", "access_key_secret", "access_key_secret_file", "statuses", "ids", "ca_file", "<<"),
    ]
)
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=8), st.binary(max_size=4)),
    st.sampled_from(["oss", "cn-hangzhou", "10s", "static", "${A}", "https://{region}.example", "http://[", "Active"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ACCOUNTS = st.fixed_dictionaries(
    {"provider": st.just("oss"), "account": st.text(max_size=4), "regions": st.lists(st.text(max_size=4), max_size=2)},
    optional={
        **dict.fromkeys(("endpoint", "allow_http", "page_size", "timeout", "max_pages", "retries"), VALUES),
        **dict.fromkeys(("requests_per_second", "min_interval", "serve_stale_for", "proxy_url"), VALUES),
        "credentials": st.dictionaries(KEYS, VALUES, max_size=4) | VALUES,
        "jobs": st.fixed_dictionaries({}, optional=dict.fromkeys(("statuses", "max_age", "max", "ids"), VALUES)),
        "tls": st.fixed_dictionaries({}, optional=dict.fromkeys(("ca_file", "cert_file", "key_file"), VALUES)),
    },
)
FRAGMENTS = st.sampled_from(
    [
        *(b"accounts:", b"\n", b"  ", b"- ", b": ", b"? ", b"[", b"]", b"{", b"}", b", ", b"#", b"|", b">-", b"\t"),
        *(b"&a ", b"*a", b"<<: ", b"!!int ", b"!!float ", b"!!set ", b"!x ", b"!!timestamp ", b"%YAML 1.1", b"---\n"),
        *(b"'", b'"', b'"\\U00110000"', b"\\x", b"\0", b"\xff", b"\xe2\x80\xa8", b"0x_", b"1:60", b".nan", b"~", b"${"),
    ]
)


def check(text):
    """Parse any input: the result is a configuration, or problems of one printable line each."""
    message = None
    try:
        assert isinstance(parse(text, file="f", environment={"A": "b"}, expand=True), Config)
    except ConfigError as error:
        message = str(error)
    if message is not None:
        for line in message.split("\n"):
            assert line.startswith("f: ")
            assert line.isprintable()
            assert len(line) < 500


@settings(deadline=None)
@given(
    VALUES | st.fixed_dictionaries({"accounts": st.lists(VALUES | ACCOUNTS, max_size=2), "defaults": VALUES | ACCOUNTS})
)
def test_any_structure(value):
    """Any structure that YAML can express is a configuration or a list of problems."""
    check(yaml.safe_dump(value, allow_unicode=True).encode(errors="replace"))


@settings(deadline=None)
@given(st.binary(max_size=40) | st.lists(FRAGMENTS, max_size=20).map(b"".join))
def test_any_bytes(text):
    """Any bytes are a configuration or a list of problems."""
    check(text)
