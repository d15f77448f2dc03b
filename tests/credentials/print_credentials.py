"""A program that prints the credentials of the vendor's package as JSON, once for each line of its input."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from exporter import credentials, logs
from exporter.core.errors import CredentialsError
from exporter.credentials.default_chain import NotConfigured
from tests.credentials.conftest import offline

PACKAGES = ("alibabacloud_credentials", "botocore", "tencentcloud")


async def load(issuer):
    try:
        issued = await issuer.issue(offline, time.time())
    except CredentialsError as error:
        return {"error": str(error), "reason": error.reason, "not configured": isinstance(error, NotConfigured)}
    keys = issued.credentials
    parts = [keys.key_id, keys.secret.reveal(), keys.token.reveal() if keys.token else None]
    return {"keys": parts, "expires": keys.expires, "imported": [name for name in PACKAGES if name in sys.modules]}


def main(provider):
    logs.set_up("debug", "logfmt")
    issuer = credentials.ISSUERS[provider]["sdk"]({})
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(asyncio.run(load(issuer))) + "\n")
        sys.stdout.flush()


main(*sys.argv[1:])
