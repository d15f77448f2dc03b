"""Whether files have changed: their content, or a link on the way to them, which is how Kubernetes replaces them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

FileStates: TypeAlias = "tuple[tuple[str, int, int, int], ...]"
"""Of each file: its path without links, inode, size in bytes, and time of change in nanoseconds."""


def file_states(files: Iterable[str]) -> FileStates:
    """The states of `files`: they differ if a file was written or replaced. It may hang, on a mount that does."""
    return tuple(map(_state, files))


def _state(file: str) -> tuple[str, int, int, int]:
    try:
        path = Path(file).resolve()
        found = path.stat()
    except (OSError, RuntimeError):  # a circle of links
        return file, 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
