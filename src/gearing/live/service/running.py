"""Run the service with uvicorn."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import uvicorn

from gearing.export.runtime import BundleError
from gearing.live.service.app import create_app
from gearing.live.service.limits import LARGEST_HEADERS
from gearing.live.service.settings import Served, ServiceSettings, is_loopback
from gearing.live.service.worker import opened

TOKEN_VARIABLE = "GEARING_TOKEN"
_SHORTEST = 16  # characters of a token


def read_token(path: Path | None, host: str) -> tuple[str, bool]:
    """The token of a file, else of ``GEARING_TOKEN``, else a new one; and whether it is new.

    Raises
    ------
    BundleError
        For a short one, and where others can reach the host and none is given.
    """
    if path is not None:
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path}: the token cannot be read ({error}).") from error
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            if not is_loopback(host):
                raise BundleError(
                    f"others can reach {host}: give a token of your own (--token-file FILE, or {TOKEN_VARIABLE})."
                )
            return secrets.token_urlsafe(24), True
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        where = TOKEN_VARIABLE if path is None else path
        raise BundleError(
            f"{where}: a token has at least {_SHORTEST} characters, of ASCII and without spaces."
        )
    return token, False


def run_service(bundles: Iterable[Served], settings: ServiceSettings, host: str, port: int) -> None:
    """Serve bundles until the process is stopped."""
    app = create_app(opened(tuple(bundles), settings), settings)
    uvicorn.run(
        app,
        host=host,
        port=port,
        workers=1,
        http="h11",
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.patience) + 1,
    )
