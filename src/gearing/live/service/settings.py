"""Settings of the service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gearing.export.deciding.settings import MAX_OUTSIDE
from gearing.export.reading.jumps import MAX_JUMP
from gearing.export.runtime import BundleError, Limits

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Served:
    """A bundle under a name.

    Attributes
    ----------
    name : str
        In addresses and in the log folder.
    folder : Path
    digest : str or None
        That it must have.
    """

    name: str
    folder: Path
    digest: str | None = None


@dataclass(frozen=True)
class ServiceSettings:
    """What the service takes and gives.

    Attributes
    ----------
    token : str
        That every request carries as ``Authorization: Bearer TOKEN``, but those of health and readiness.
    logs : Path
        Folder with one folder for each bundle's session.
    fallback : str
        What a refused decision does: hold, flat or reduce:LEVERAGE.
    key : str or None
        Public key that has signed every bundle.
    venue : str or None
        Whose calls are listed.
    limits : Limits
        Of every session.
    max_age, max_jump, max_outside
        As of a decision.
    largest_body : int
        Bytes of a request.
    most_bars : int
        Bars (or settlements) of a request, all contracts together.
    queue : int
        Requests that wait for one bundle; further ones are turned away with 503.
    patience : float
        Seconds that a request waits for its decision, and for its own body.
    any_time : bool
        Whether a request may name another moment than the present: for back-testing.
    """

    token: str
    logs: Path
    fallback: str = "hold"
    key: str | None = None
    venue: str | None = None
    limits: Limits = field(default_factory=Limits)
    max_age: str | None = None
    max_jump: float | str = MAX_JUMP
    max_outside: float | str = MAX_OUTSIDE
    largest_body: int = 16 * 2**20
    most_bars: int = 100_000
    queue: int = 4_096
    patience: float = 30.0
    any_time: bool = False


def served(arguments: Iterable[str]) -> tuple[Served, ...]:
    """Bundles from arguments: FOLDER, NAME=FOLDER, each with @DIGEST if it is pinned; the folder names the others.

    Raises
    ------
    BundleError
        For a name that is given twice, or is no plain word.
    """
    found: dict[str, Served] = {}
    for argument in arguments:
        text, _, digest = (
            argument.partition("@") if re.search(r"@[0-9a-f]{64}$", argument) else (argument, "", "")
        )
        name, sign, folder = text.partition("=")
        path = Path(folder if sign else text)
        name = name if sign else _default_name(path)
        if not _NAME.fullmatch(name):
            raise BundleError(
                f"the name {name!r} of {path} is not of letters, digits, dots and dashes; write NAME={path}."
            )
        if name in found:
            raise BundleError(f"two bundles are named {name}; write NAME={path} with another name.")
        found[name] = Served(name, path, digest or None)
    return tuple(found.values())


def _default_name(path: Path) -> str:
    """The folder's name; of a study's folder "bundle" that of the study."""
    resolved = path.resolve()
    return resolved.parent.name if resolved.name == "bundle" else resolved.name


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
