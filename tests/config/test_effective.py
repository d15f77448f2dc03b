from __future__ import annotations

from dataclasses import fields

import pytest

from exporter.config import effective, parse
from exporter.providers import PROVIDERS

NEEDED = {"oss": "", "cos": ", uin: '1', appid: '2'", "s3": ", account_id: '111122223333'"}
SECRETS = ("CANARY-id", "CANARY-secret", "CANARY-token", "CANARY-proxy")
TEXT = """\
defaults: {{timeout: 5s, retries: 7, jobs: {{max: 5}}, tls: {{ca_file: ca.pem}}}}
accounts:
  - provider: {provider}
    account: "ünï no"
    regions: [r1, r2]
    proxy_url: http://user:CANARY-proxy@proxy.example:3128
    jobs: {{statuses: [Active], max_age: 1h}}
    requests_per_second: 0.5
    credentials: {credentials}{needed}
"""


def settings(text):
    """Returns all settings of the targets of `text` but for providers and secrets, in a form that can be compared."""
    config = parse(text.encode(), file="/conf/config.yaml", environment={})
    return [
        {field.name: getattr(target, field.name) for field in fields(target)}
        | {
            "provider": target.provider.list_request(None),
            "credentials": (type(target.credentials), target.credentials.name),
            "connection": (target.connection.ca_file, bool(target.connection.proxy_url)),
        }
        for target in config.targets
    ]


def shown(text):
    return effective.as_text(parse(text.encode(), file="/conf/config.yaml", environment={}).accounts)


def text_of(provider, credentials):
    return TEXT.format(provider=provider, credentials=credentials, needed=NEEDED[provider].replace(", ", "\n    "))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_is_a_configuration_with_the_same_targets(provider):
    """What is shown can be used as a configuration, and has the same settings, defaults included."""
    text = text_of(provider, "{source: environment}")
    assert settings(shown(text)) == settings(text)
    assert "defaults:" not in shown(text)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_has_no_secret(provider):
    """Neither keys nor the proxy's password are shown; the source and the names of files are."""
    names = PROVIDERS[provider].credential_names
    keys = f"{names.key_id}: {SECRETS[0]}, {names.secret}: {SECRETS[1]}, {names.token}: {SECRETS[2]}"
    literal = shown(text_of(provider, f"{{source: static, {keys}}}"))
    assert "CANARY" not in literal
    assert literal.count("<secret>") == 4
    assert "http://<secret>@proxy.example:3128" in literal
    assert "source: static" in literal
    files = shown(text_of(provider, f"{{source: static, {names.key_id}_file: a, {names.secret}_file: /b}}"))
    assert f"{names.key_id}_file: /conf/a" in files
    assert f"{names.secret}_file: /b" in files


def test_an_unknown_key_of_credentials_is_hidden():
    """A key of credentials that is not known to be harmless is a secret."""
    account = {"credentials": {"source": "new", "password": "CANARY", "profile": "p"}, "proxy_url": "http://a:b@c@d"}
    assert effective.as_text([account]) == (
        "accounts:\n- credentials:\n    source: new\n    password: <secret>\n    profile: p\n"
        "  proxy_url: http://<secret>@d\n"
    )
