"""Addresses of Ray clusters: a wrong one is refused at once, where Ray itself would try for minutes."""

from __future__ import annotations

import os
import socket
from urllib.parse import SplitResult, urlsplit

AUTO = "auto"  # Ray finds the cluster of this machine
_PATIENCE = 10.0  # seconds until a machine that does not answer is given up
# What a client of HTTP/2, and so of Ray's gRPC, sends first: the preface and an empty frame of settings.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HEADER, _KIND, _SETTINGS = (
    9,
    3,
    4,
)  # bytes of a frame's header, place of its type, type of what a server sends first


def check_address(address: str) -> None:
    """Refuse an address at which no Ray cluster answers.

    Raises
    ------
    ValueError
        Saying what is there instead and how to start a cluster.
    """
    if address == AUTO:
        return
    place = _parsed(address)
    try:
        with socket.create_connection(
            (str(place.hostname), int(place.port or 0)), timeout=_PATIENCE
        ) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "1" and not _is_grpc(connection):
                raise no_cluster(address, "another program listens there")
    except (OSError, UnicodeError) as error:
        raise no_cluster(address, getattr(error, "strerror", None) or str(error)) from None


def no_cluster(address: str, reason: str) -> ValueError:
    """The error for an address without a cluster."""
    return ValueError(
        f"no Ray cluster answers at address {address!r} ({reason}). Start one with `ray start --head`, or leave "
        "address out to use this machine."
    )


def _parsed(address: str) -> SplitResult:
    """Host and port of an address such as ``10.0.0.1:6379`` or ``ray://head:10001``."""
    try:
        place = urlsplit(address if "://" in address else f"//{address}")
        is_right = bool(place.hostname and place.port) and place.scheme in ("", "ray") and not place.path
    except ValueError:  # a port that is no number or too large
        is_right = False
    if not is_right:
        raise ValueError(
            f"{address!r} is no address of a Ray cluster. Give host and port as `ray start` prints them, such as "
            "10.0.0.1:6379, or auto for the cluster of this machine; leave address out to start one."
        )
    return place


def _is_grpc(connection: socket.socket) -> bool:
    """Whether the other side speaks HTTP/2."""
    connection.sendall(_HELLO)
    found = b""
    while len(found) < _HEADER:
        more = connection.recv(_HEADER - len(found))
        if not more:
            return False
        found += more
    return found[_KIND] == _SETTINGS
