"""Hashes that name results by what they depend on. Standard library only: an exported policy checks its files here."""

import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_CODE = (".py", ".yaml", ".json")  # hyper-parameters and venues ship as YAML and JSON


def digest(*parts: Any, length: int = 16) -> str:
    """SHA-256 of values in order.

    Parameters
    ----------
    *parts : plain values, arrays or bytes
        Arrays count with their bytes, everything else as JSON with sorted keys; what JSON does not know counts with
        its text, so give it one that says everything.
    length : int
        Hexadecimal digits, at most 64.
    """
    found = hashlib.sha256()
    for part in parts:
        raw = _raw(part)
        found.update(f"{len(raw)}|".encode())
        found.update(raw)
    return found.hexdigest()[:length]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def code_digest(package: str = "gearing") -> str:
    """Hash of a package's Python files and settings (YAML, JSON), read once per process: other code, other results."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no package {package!r} whose files could be read.")
    folder = Path(spec.origin).parent
    read = [path for path in folder.rglob("*") if path.suffix in _CODE]
    files = sorted((path.relative_to(folder).as_posix(), path) for path in read)
    return digest([(name, file_digest(path)) for name, path in files])


def package_version() -> str:
    """Version of the installed package; 0.0.0 of a source tree that is not installed."""
    try:
        return version("gearing")
    except PackageNotFoundError:
        return "0.0.0"


def _raw(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    if hasattr(part, "tobytes"):
        return part.tobytes()
    return json.dumps(part, sort_keys=True, default=str).encode()
