"""A program that prints the credentials of the vendor's package as JSON, once for each line of its input.

A line is an identity as JSON, or empty; equal ones are the same account. The word `refused` at its end: the service
refused its last credentials. With TEST_CA in the environment, the packages
trust the certificate authority in that file.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from exporter import logs
from exporter.core.errors import CredentialsError
from exporter.credentials import PACKAGES
from exporter.credentials.default_chain import NotConfigured
from exporter.credentials.sdk import Identity, SdkIssuer
from tests.credentials.conftest import offline

MODULES = ("alibabacloud_credentials", "botocore", "tencentcloud")


async def load(issuer):
    try:
        issued = await issuer.issue(offline, time.time())
    except CredentialsError as error:
        return {"error": str(error), "reason": error.reason, "not configured": isinstance(error, NotConfigured)}
    keys = issued.credentials
    parts = [keys.key_id, keys.secret.reveal(), keys.token.reveal() if keys.token else None]
    return {"keys": parts, "expires": keys.expires, "imported": [name for name in MODULES if name in sys.modules]}


def main(provider):
    logs.set_up("debug", "logfmt")
    if "TEST_CA" in os.environ:
        import certifi

        certifi.where = lambda: os.environ["TEST_CA"]
    issuers: dict[str, SdkIssuer] = {}
    for line in sys.stdin:
        identity = line.removesuffix("refused\n").strip() or "{}"
        if identity not in issuers:
            issuers[identity] = SdkIssuer(PACKAGES[provider](Identity(**json.loads(identity))))
        if line.endswith("refused\n"):
            issuers[identity].forget()
        sys.stdout.write(json.dumps(asyncio.run(load(issuers[identity]))) + "\n")
        sys.stdout.flush()


main(*sys.argv[1:])
