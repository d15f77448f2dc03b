from __future__ import annotations

import logging
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import parse
from exporter.core.errors import ConfigError

WORDS = ("LTAI5tHunter1", "hunter2", "hunter3", "hunter4")
"""A key id, a secret, a token and a proxy's password."""
GOOD = """\
accounts:
  - provider: oss
    account: prod
    regions: [cn-hangzhou]
    proxy_url: http://user:hunter4@proxy.example
    credentials:
      source: static
      access_key_id: LTAI5tHunter1
      access_key_secret: hunter2
      security_token: hunter3
"""


def everything_shown(text, caplog, **options):
    """Returns all that a person can see of a wrong configuration: the message, its parts, the traceback and the log."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), file="config.yaml", environment={}, **options)
    error = caught.value
    logging.getLogger("test").error("bad configuration", exc_info=error)
    return "\n".join([str(error), repr(error), *traceback.format_exception(error), caplog.text])


def test_a_valid_configuration_shows_no_secret():
    """However they are printed, a configuration, its targets and their credentials show no key and no password."""
    config = parse(GOOD.encode(), file="config.yaml", environment={})
    [target] = config.targets
    shown = f"{config} {config!r} {target} {target!r} {target.credentials} {target.credentials!r} {target.connection!r}"
    assert "prod" in shown
    assert not [word for word in WORDS if word in shown]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("access_key_secret: hunter2", "access_key_secret: [hunter2]"),
        ("access_key_secret: hunter2", "access_key_secret: {hunter2: hunter2}"),
        ("access_key_secret: hunter2", "access_key_secret: !hunter2 x"),
        ("access_key_secret: hunter2", "access_key_secret: !!int hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: !!binary hunter2"),
        ("access_key_secret: hunter2", 'access_key_secret: "hunter2\\n"'),
        ("access_key_secret: hunter2", "access_key_secret: hunter2 hunter3"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2é"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2: hunter3"),
        ("access_key_secret: hunter2", "access_key_secret: *hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: &hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: !hunter2!x y"),
        ("access_key_secret: hunter2", "access_key_secret: %hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: @hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: 'hunter2"),
        ("access_key_secret: hunter2", "access_key_secret: '${hunter2:-x}'"),
        ("access_key_secret: hunter2", 'access_key_secret: "hunter2\\q"'),
        ("access_key_secret: hunter2", "access_key_secret hunter2"),
        ("access_key_secret: hunter2", "access_key_secret:hunter2"),
        ("access_key_secret: hunter2", "access_key_secret:hunter2: x"),
        ("access_key_secret: hunter2", "access_key_secrt: hunter2"),
        ("access_key_secret: hunter2", "secret: hunter2"),
        ("access_key_secret: hunter2", "hunter2:"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2\n      access_key_secret: hunter3"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2\n      access_key_secret_file: x"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2\n     wrong: depth"),
        ("access_key_secret: hunter2", "access_key_secret: hunter2\n      <<: hunter3"),
        ("security_token: hunter3", "security_token: [hunter3]"),
        ("security_token: hunter3", 'security_token: "hunter3\\t"'),
        ("security_token: hunter3", "security_token: hunter3\n      security_token_file: x"),
        ("access_key_id: LTAI5tHunter1", "access_key_id: [LTAI5tHunter1]"),
        ("access_key_id: LTAI5tHunter1", "access_key_id: LTAI5tHunter1\n      access_key_id_file: x"),
        ("source: static", "source: default"),
        ("credentials:\n      source", "credentials: hunter2\n    x:\n      source"),
        ("proxy_url: http://", "proxy_url: ftp://"),
        ("proxy_url: http://user:hunter4@proxy.example", "proxy_url: [hunter4]"),
        ("@proxy.example", "@proxy example"),
        ("@proxy.example", "@[proxy.example"),
        ("@proxy.example", "@proxy.example:port"),
    ],
)
def test_no_mistake_shows_a_secret(caplog, good, bad):
    """Whatever is wrong with a secret, its key or the YAML around it, no message, traceback or log line shows it."""
    assert good in GOOD
    shown = everything_shown(GOOD.replace(good, bad), caplog, expand=True)
    assert not [word for word in WORDS if word in shown]


@pytest.mark.parametrize("number", ["8675309", "8675309.5", "0x845fed", "8675309.5e+3"])
def test_a_number_as_a_secret_is_not_shown(caplog, number):
    """A secret of digits alone, which YAML reads as a number, is reported by its type."""
    shown = everything_shown(GOOD.replace("hunter2", number), caplog)
    assert "access_key_secret: must be a string, not a" in shown
    assert "8675309" not in shown


@settings(deadline=None)
@given(
    at=st.integers(0, len(GOOD)), inserted=st.sampled_from("\t\n !&*%@`'\"[]{}:,?|>#-\x00é\\$<"), cut=st.integers(0, 3)
)
def test_no_typing_error_shows_a_secret(at, inserted, cut):
    """An inserted character or a few missing ones, anywhere in the file, never make the message show a secret."""
    text = GOOD[:at] + inserted + GOOD[at + cut :]
    try:
        parse(text.encode(), file="config.yaml", environment={}, expand=True)
    except ConfigError as error:
        shown = "".join(traceback.format_exception(error))
        assert not [word for word in WORDS[1:] if word in shown]
