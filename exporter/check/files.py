"""The files that the configuration names: whether they can be read, and by which other users."""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.core.errors import CredentialsError, Problem
from exporter.core.files import require_regular
from exporter.credentials.key_files import read_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.core.errors import NamedFile


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with some files; a warning does not keep the exporter from working."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


async def look_at(files: Sequence[NamedFile]) -> Findings:
    """Returns what is wrong with `files`, each with the path of its key and what to do."""
    problems, warnings = [], []
    for file in files:
        if problem := await _key_problem(file.name) if ".credentials." in file.path else _tls_problem(file):
            problems.append(Problem(file.path, problem))
        elif file.secret and _is_open(file.name):
            advice = f"can be read by every user of this machine; chmod o= {file.name}"
            warnings.append(Problem(file.path, f"{file.name} {advice}"))
    problems += _pair_problems({file.path: file.name for file in files})
    return Findings(tuple(problems), tuple(warnings))


async def _key_problem(name: str) -> str:
    """Returns why the file does not contain a key; an empty string if it does."""
    try:
        await read_key(name)
    except CredentialsError as error:
        return error.message
    return ""


def _tls_problem(file: NamedFile) -> str:
    """Returns why a file for TLS cannot be used; an empty string if it can."""
    try:
        require_regular(Path(file.name))
        with Path(file.name).open("rb") as opened:
            opened.read(1)
        if file.path.endswith("ca_file"):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file.name)
    except ssl.SSLError:
        return f"{file.name} contains no certificate in PEM format"
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    return ""


def _pair_problems(names: Mapping[str, str]) -> Iterator[Problem]:
    """Yields why client certificates and their keys cannot be used together. `names`: of the files, by path."""
    for section in sorted({path.rpartition(".")[0] for path in names if ".tls." in path}):
        own = [path for path in (f"{section}.key_file", f"{section}.cert_file") if path in names]
        cert, key = (
            names.get(f"{section}.{part}") or names.get(f"defaults.tls.{part}") for part in ("cert_file", "key_file")
        )
        if not own or cert is None or key is None:
            continue
        try:
            # A key with a password would be asked for on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: "")
        except ssl.SSLError as error:
            problem = f"{key} is not the key of {cert}"
            if error.reason != "KEY_VALUES_MISMATCH":
                problem += ", or has a password, or one of them is not in PEM format"
            yield Problem(own[0], problem)
        except OSError:  # one of them cannot be read, which is a problem already
            pass


def _is_open(name: str) -> bool:
    """Returns whether every user may read the file."""
    return bool(Path(name).stat().st_mode & stat.S_IROTH)
