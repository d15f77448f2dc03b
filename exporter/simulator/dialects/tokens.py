"""Page tokens as awkward as the documentation allows: every special character, a different token for each page.

A token contains its position, so it stays valid when jobs are added or removed and when the simulator restarts.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from exporter.simulator.messages import Position

MAX_LENGTH: Final = 1024
_SPECIALS: Final = "+:/=?#-_"
_FILLER: Final = "Zz09+:/=?-_"


def encode(position: Position, length: int = 0) -> str:
    """Returns the token for `position`, at least `length` characters long; the same arguments give the same token."""
    plain = f"{position.page}.{position.offset}.{int(position.again)}.{length}.{position.last}".encode()
    digest = hashlib.sha256(plain).digest()
    turn = digest[0] % len(_SPECIALS)
    token = _SPECIALS[turn:] + _SPECIALS[:turn] + base64.b64encode(digest[:6] + plain).decode()
    if len(token) < length:
        token += "#"
        token += (_FILLER * length)[: length - len(token)]
    return token


def decode(token: str) -> Position:
    """Returns the position in `token`. Raises ValueError if `encode` did not make it."""
    try:
        plain = base64.b64decode(token[len(_SPECIALS) :].partition("#")[0], validate=True)[6:].decode()
        page, offset, again, length, last = plain.split(".", 4)
        position = Position(int(page), int(offset), last, again == "1")
        genuine = int(length) <= MAX_LENGTH and encode(position, int(length)) == token
    except ValueError:  # from base64, UTF-8, the split or the numbers
        genuine = False
    if not genuine:
        raise ValueError("not a page token")
    return position
