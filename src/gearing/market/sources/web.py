"""Read an address whole, within a time and a size."""

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from gearing.market.sources.retrying import FetchError, PassingError

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
LARGEST = 256 * 2**20  # bytes of one answer


class Web:
    """Addresses read by several threads, each with a connection of its own.

    Parameters
    ----------
    timeout : float
        Seconds without a byte after which a try fails.
    largest : int
        Bytes after which an answer is refused.
    client : httpx.Client, optional
        Used by all threads instead.
    """

    def __init__(self, timeout: float = 30.0, largest: int = LARGEST, client: httpx.Client | None = None):
        self.timeout, self.largest, self._given = timeout, largest, client
        self._stopped = threading.Event()
        self._local = threading.local()
        self._certificates = httpx.create_ssl_context()

    def stop(self) -> None:
        """End what is being read, and refuse to read more."""
        self._stopped.set()

    def sleep(self, seconds: float) -> None:
        """Wait, but not after `stop`."""
        self._stopped.wait(seconds)

    def get(
        self, url: str, deadline: float = math.inf, query: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer.

        Parameters
        ----------
        url : str
        deadline : float
            Moment of ``time.monotonic`` at which the answer has to be there.
        query : mapping, optional

        Raises
        ------
        PassingError
            For a connection that fails, an answer that is cut off or comes too slowly, a server that is busy.
        FetchError
            For an address that cannot be one, an answer that is too large or comes too late.
        """
        if self._stopped.is_set():
            raise FetchError("the download was stopped.")
        client = self._client()
        try:
            with (
                _closed_at(client, deadline),
                client.stream("GET", url, params=None if query is None else dict(query)) as response,
            ):
                if response.status_code in RETRIED:
                    raise PassingError(f"status {response.status_code}", _retry_after(response))
                return response.status_code, self._body(response, deadline)
        except httpx.TooManyRedirects as error:
            raise FetchError(f"the server redirects in a circle; check the base address of {url}.") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise FetchError(
                f"it is, or redirects to, no address of http or https; check the base address of {url}."
            ) from error
        except (
            httpx.HTTPError,
            httpx.StreamError,
            OSError,
            RuntimeError,
        ) as error:  # the last two: closed meanwhile
            if time.monotonic() >= deadline:
                raise _too_slow(0) from error
            raise PassingError(self._plainly(error)) from error

    def _plainly(self, error: Exception) -> str:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return "no connection to the server"
        if isinstance(error, httpx.TimeoutException):
            return f"not a byte for {self.timeout:g} seconds"
        return f"the answer was cut off ({type(error).__name__})"

    def _client(self) -> httpx.Client:
        if self._given is not None:
            return self._given
        client: httpx.Client | None = getattr(self._local, "client", None)
        if client is None or client.is_closed:
            client = httpx.Client(timeout=self.timeout, follow_redirects=True, verify=self._certificates)
            self._local.client = client
        return client

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self.largest:
                raise FetchError(f"the answer is larger than {self.largest:,} bytes; it was not read.")
            if self._stopped.is_set():
                raise FetchError("the download was stopped.")
            if time.monotonic() > deadline:
                raise _too_slow(size)
        return b"".join(parts)


def _too_slow(size: int) -> FetchError:
    return FetchError(
        f"the answer came too slowly: {size:,} bytes of it within the longest time for one file."
    )


@contextmanager
def _closed_at(client: httpx.Client, deadline: float) -> Iterator[None]:
    """Close a client that is still reading at the deadline: a header that comes byte by byte has no other end."""
    if deadline == math.inf:
        yield
        return
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), client.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _retry_after(response: httpx.Response) -> float:
    """Seconds that a server requests to wait; infinite where it gives a date."""
    try:
        seconds = float(response.headers.get("Retry-After", 0.0))
    except ValueError:
        return math.inf
    return max(0.0, seconds) if seconds == seconds else math.inf
