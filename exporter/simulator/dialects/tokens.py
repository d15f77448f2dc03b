"""Page tokens as hostile as they are documented: every allowed special character, another token for each page.

A token holds its position itself, so it stays good when jobs come and go and when the simulator starts anew.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from exporter.simulator.messages import Position

LONGEST: Final = 1024
_SPECIALS: Final = "+:/=?#-_"
_FILLER: Final = "Zz09+:/=?-_"


def encode(position: Position, length: int = 0) -> str:
    """The token for `position`, of at least `length` characters; the same for the same arguments."""
    plain = f"{position.page}.{position.offset}.{int(position.again)}.{length}.{position.last}".encode()
    digest = hashlib.sha256(plain).digest()
    turn = digest[0] % len(_SPECIALS)
    token = _SPECIALS[turn:] + _SPECIALS[:turn] + base64.b64encode(digest[:6] + plain).decode()
    if len(token) < length:
        token += "#"
        token += (_FILLER * length)[: length - len(token)]
    return token


def decode(token: str) -> Position:
    """The position that `token` stands for. Raises ValueError where it is none that `encode` made."""
    try:
        plain = base64.b64decode(token[len(_SPECIALS) :].partition("#")[0], validate=True)[6:].decode()
        page, offset, again, length, last = plain.split(".", 4)
        position = Position(int(page), int(offset), last, again == "1")
        genuine = int(length) <= LONGEST and encode(position, int(length)) == token
    except ValueError:  # of base64, UTF-8, the parts or the numbers
        genuine = False
    if not genuine:
        raise ValueError("not a page token")
    return position
