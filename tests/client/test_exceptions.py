from __future__ import annotations

import ssl

import httpx
import pytest

from exporter.client.connection_errors import Hop, is_known, mapped
from exporter.core.errors import REASONS

REASON_OF = {
    "ConnectTimeout": ("timeout", True),
    "ReadTimeout": ("timeout", True),
    "WriteTimeout": ("timeout", True),
    "PoolTimeout": ("timeout", True),
    "TimeoutException": ("timeout", True),
    "ConnectError": ("connect", True),
    "ReadError": ("connect", True),
    "WriteError": ("connect", True),
    "CloseError": ("connect", True),
    "NetworkError": ("connect", True),
    "ProxyError": ("connect", True),
    "RemoteProtocolError": ("connect", True),
    "ProtocolError": ("connect", True),
    "TransportError": ("connect", True),
}
"""Reason, and whether another attempt may help; any other exception is a configuration error or a bug."""

CANARY = "https://a.example/?x-oss-security-token=CANARY"


def subclasses(kind):
    """`kind` and all its subclasses."""
    return {kind}.union(*(subclasses(below) for below in kind.__subclasses__()))


def raised(kind):
    """An instance of `kind`; exceptions without a message argument have their own text."""
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", "http://127.0.0.1")
        return kind(CANARY, request=request, response=httpx.Response(500, request=request))
    return kind() if kind.__init__.__code__.co_argcount == 1 else kind(f"b'{CANARY}'")


ALL = sorted(
    subclasses(httpx.HTTPError) | subclasses(httpx.StreamError) | subclasses(httpx.InvalidURL), key=lambda k: k.__name__
)


def reported(error):
    """What the person on call sees of an exception of the client."""
    hop = Hop("127.0.0.1:1", None, tunnel=False)
    assert is_known(error, hop)
    return mapped(error, hop)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_of_the_client_has_a_reason(kind):
    """Every httpx exception becomes a TransportError with a known reason and without the original text."""
    error = reported(raised(kind))
    assert error.reason in REASONS
    assert (error.reason, error.transient) == REASON_OF.get(kind.__name__, ("config", False))
    assert "CANARY" not in str(error)
    assert "127.0.0.1:1" in str(error)


def test_the_table_of_exceptions_is_complete():
    """Each name in the table is an httpx exception, and all public httpx exceptions are tested."""
    assert REASON_OF.keys() <= {kind.__name__ for kind in ALL}
    public = {kind.__name__ for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert public - {kind.__name__ for kind in ALL} == {"CookieConflict"}  # only raised when cookies are read


def test_a_tls_error_is_found_below_any_exception():
    """A TLS error is reported as one, whichever exceptions wrap it."""
    error = httpx.ReadError("")
    error.__context__ = OSError("in between")
    error.__context__.__cause__ = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    assert reported(error).reason == "tls"
