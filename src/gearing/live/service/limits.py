"""Bounds on requests, before anything reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LARGEST_HEADERS = 16 * 1024  # bytes of the request line and all headers


class _RefusedError(Exception):
    """A body that is too large or too slow."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class BodyLimit:
    """Refuses requests whose body is larger than allowed, or comes too slowly.

    Parameters
    ----------
    app : ASGI application
    largest : int
        Bytes.
    patience : float
        Seconds for the whole body.
    """

    def __init__(self, app: Any, largest: int, patience: float):
        self.app, self.largest, self.patience = app, largest, patience

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check_head(scope)
            body = await self._body(scope, receive)
        except _RefusedError as refused:
            await _answer(send, refused)
            return
        if body is None:  # the client has gone
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def read() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, read, send)

    def _check_head(self, scope: MutableMapping[str, Any]) -> None:
        size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > LARGEST_HEADERS:
            raise _RefusedError(
                431, "too-large", f"address and headers have at most {LARGEST_HEADERS:,} bytes; send fewer."
            )

    async def _body(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated[:20]) > self.largest:
            raise self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.largest:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise _RefusedError(
                408, "slow", f"the body did not come within {self.patience:g} seconds; send it at once."
            ) from None

    def _too_large(self) -> _RefusedError:
        return _RefusedError(
            413,
            "too-large",
            f"a request has at most {self.largest:,} bytes; send fewer bars: the look-back will do.",
        )


async def _answer(send: Send, refused: _RefusedError) -> None:
    body = json.dumps({"error": {"code": refused.code, "message": refused.message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
