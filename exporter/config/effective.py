"""The configuration that is in use, for people: every key with its value, defaults included, without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN: Final = "<secret>"

_SHOWN: Final = re.compile(r"source|profile|role_arn|session_name|\w+_file")
"""The keys of `credentials` whose values are no secrets; a key that is not here is hidden."""


class _Dumper(yaml.SafeDumper):
    """Repeats equal values instead of referring to them."""

    def ignore_aliases(self, data: object) -> bool:
        """True: accounts share the values of the defaults."""
        del data
        return True


def as_text(accounts: Iterable[Mapping[str, Any]]) -> str:
    """Returns a configuration file with these `accounts`, see `Config.accounts`; it has no section `defaults`."""
    document = {"accounts": [_without_secrets(account) for account in accounts]}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _without_secrets(account: Mapping[str, Any]) -> dict[str, Any]:
    credentials = {
        key: value if _SHOWN.fullmatch(key) else HIDDEN for key, value in account["credentials"].items() if value
    }
    proxy_url = re.sub("(?<=//).*@", f"{HIDDEN}@", account["proxy_url"])
    return {**account, "credentials": credentials, "proxy_url": proxy_url}
