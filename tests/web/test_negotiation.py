from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.negotiation import accepts_gzip, prefers_openmetrics

OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

CLIENTS = {
    "Prometheus 2.42": (
        f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        True,
    ),
    "Prometheus 2.42 with native histograms": (
        (
            f"{PROTOBUF},{OPENMETRICS};version=1.0.0;q=0.8,{OPENMETRICS};version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ),
        True,
    ),
    "Prometheus 2.53": (
        f"{OPENMETRICS};version=1.0.0;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        True,
    ),
    "Prometheus 3.5": (
        (
            f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPENMETRICS};version=0.0.1;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        ),
        True,
    ),
    "Prometheus that prefers plain text": (
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
            f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.3"
        ),
        False,
    ),
    "Prometheus with scrape_protocols [PrometheusText0.0.4]": ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", False),
    "curl": ("*/*", False),
    "wget": ("*/*", False),
    "Firefox": ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
    "Chrome": (
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
            "application/signed-exchange;v=b3;q=0.7"
        ),
        False,
    ),
    "no header": ("", False),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_get_what_they_prefer(client):
    """Each client gets its preferred format of the two; one that names neither gets plain text."""
    accept, expected = CLIENTS[client]
    assert prefers_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (OPENMETRICS, True),
        ("Application/OpenMetrics-Text; Version=1.0.0", True),
        (f'{OPENMETRICS}; version="1.0.0"; charset=utf-8', True),
        (f"{OPENMETRICS} ; q=0.5 , text/plain ; q=0.4", True),
        (f"{OPENMETRICS};q=0.5,text/plain;q=0.5", True),
        (f"text/plain,{OPENMETRICS}", True),
        (f"{OPENMETRICS};q=0.4,text/plain;q=0.5", False),
        (f"{OPENMETRICS};q=0", False),
        (f"{OPENMETRICS};q=0.000,text/plain;q=0", False),
        (f"{OPENMETRICS};Q=0", False),
        (f"{OPENMETRICS};version=2.0.0", False),
        (f"{OPENMETRICS};version=2.0.0,{OPENMETRICS};version=1.0.0;q=0.1", True),
        (f"{OPENMETRICS};version=0.0.4", False),
        (f"{OPENMETRICS};q=high", False),
        (f"{OPENMETRICS};q=", False),
        (f"{OPENMETRICS};q=nan,text/plain;q=0.1", False),
        (f"{OPENMETRICS};q=-1", False),
        (f"{OPENMETRICS}s", False),
        ("application/*", False),
        (PROTOBUF, False),
        (";;,,;=;q", False),
    ],
)
def test_openmetrics_needs_its_name_version_and_quality(accept, expected):
    """OpenMetrics requires its name, a version compatible with 1.0, and a quality above 0 and at least plain text's."""
    assert prefers_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, gzip;q=0.5", True),
        ("zstd, gzip ; q=0.001", True),
        ("*", True),
        ("*;q=0.1", True),
        ("br, *", True),
        ("", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip;q=0, *", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("gzip;q=x", False),
        ("gzip;q=nan", False),
        ("gzipped", False),
        (",;=", False),
    ],
)
def test_gzip_must_be_accepted(accept_encoding, expected):
    """Gzip is used if it, or anything, has a quality above 0; an entry for gzip itself takes precedence."""
    assert accepts_gzip(accept_encoding) is expected


items = st.text("*/;=,q.01 \"'-\t", max_size=12) | st.sampled_from([OPENMETRICS, "text/plain", "gzip", ";q=", "inf"])


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=30) | st.lists(items, max_size=6).map("".join))
def test_no_header_raises(header):
    """No header value raises an exception."""
    assert prefers_openmetrics(header) in (True, False)
    assert accepts_gzip(header) in (True, False)


@settings(max_examples=100, deadline=None)
@given(st.permutations(CLIENTS["Prometheus 3.5"][0].split(",")))
def test_the_order_of_the_items_does_not_matter(items):
    """Qualities decide, not the order of the items."""
    assert prefers_openmetrics(",".join(items))
