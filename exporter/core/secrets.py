"""Secrets and credentials: values that never show themselves."""

from __future__ import annotations

from dataclasses import dataclass


class Secret:
    """A string that only `reveal()` returns; `str()`, `repr()`, f-strings and pickles do not contain it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself. Call it where it is used, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret cannot be pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys from one source. `expires`: Unix seconds, None if they do not expire."""

    key_id: str
    secret: Secret
    token: Secret | None = None
    expires: float | None = None

    def same_keys(self, other: Credentials) -> bool:
        """Whether a service cannot tell these credentials from `other`."""
        return (self.key_id, self.secret, self.token) == (other.key_id, other.secret, other.token)
