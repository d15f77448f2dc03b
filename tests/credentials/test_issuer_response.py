from __future__ import annotations

import pytest

from exporter.core import moments
from exporter.core.errors import CredentialsError
from exporter.core.http import Response
from exporter.credentials.issuer_response import FieldNames, issuer_error, parse_credentials

NAMES = FieldNames("Id", "Secret", "Token", "Expires")


def lifetime(expires, now):
    fields = {"Id": "id", "Secret": "secret", "Token": "token", "Expires": expires}
    return parse_credentials(fields, NAMES, Response(200, {}, b""), issuer="the issuer", now=now).lifetime


def test_credentials_are_good_until_their_expiry():
    """Those that expire within the second are used; those that expire now are not."""
    assert lifetime(2000, now=1999.5) == 0.5
    with pytest.raises(CredentialsError, match="have already expired"):
        lifetime(2000, now=2000.0)


def test_the_latest_expiry():
    """An expiry is a moment before `moments.LATEST`."""
    latest = int(moments.LATEST)
    assert lifetime(latest - 1, now=0.0) == latest - 1
    with pytest.raises(CredentialsError, match=r"no valid expiry time \(Expires\)"):
        lifetime(latest, now=0.0)


def test_a_server_error_with_status_200():
    """Tencent's API returns each error with status 200: the code says whose fault it is."""
    assert issuer_error("AssumeRole", 200, "check it", code="InternalError.DbError").reason == "http_5xx"
    assert issuer_error("AssumeRole", 200, "check it", code="AuthFailure").reason == "auth"
