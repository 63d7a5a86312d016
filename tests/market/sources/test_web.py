"""An address is read whole, within a time and a size, from a server on loopback."""

import math
import socket
import threading
import time

import pytest

from gearing.market.sources.retrying import FetchError, PassingError
from gearing.market.sources.web import Web


class Slow:
    """A server that sends what it is given, byte by byte with pauses."""

    def __init__(self, parts, pause):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/x"
        self.parts, self.pause, self.ended = parts, pause, threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while not self.ended.is_set():
                connection, _ = self.socket.accept()
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()
        except OSError:
            return

    def answer(self, connection):
        try:
            connection.recv(4096)
            for part in self.parts():
                connection.sendall(part)
                self.ended.wait(self.pause)
            connection.close()
        except OSError:
            return

    def close(self):
        self.ended.set()
        self.socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(parts, pause=0.0):
        servers.append(Slow(parts, pause))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


def body(content, length=None):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length or len(content)}\r\n\r\n".encode() + content


def test_an_answer_is_its_status_and_its_body(serve):
    assert Web().get(serve(lambda: [body(b"abc")])) == (200, b"abc")


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [body(b"", 1000), *[b"x"] * 1000],  # a body byte by byte
        lambda: [b"HTTP/1.1 200 OK\r\n", *[b"x"] * 1000],  # a header byte by byte
        lambda: [b"", *[b""] * 1000],  # nothing
    ],
    ids=["body", "header", "nothing"],
)
def test_an_answer_that_comes_too_slowly_ends_at_the_deadline(serve, parts):
    url, begun = serve(parts, pause=0.05), time.monotonic()
    with pytest.raises(FetchError, match="came too slowly"):
        Web(timeout=1.0).get(url, deadline=begun + 0.5)
    assert time.monotonic() - begun < 5.0


def test_silence_is_worth_another_try(serve):
    url = serve(lambda: [b""] * 40, pause=0.1)
    with pytest.raises(PassingError, match=r"not a byte for 0\.2 seconds"):
        Web(timeout=0.2).get(url, deadline=time.monotonic() + 60.0)


def test_an_answer_that_is_cut_off_is_worth_another_try(serve):
    with pytest.raises(PassingError, match="the answer was cut off"):
        Web().get(serve(lambda: [body(b"abc", 10)]))


def test_an_answer_beyond_the_size_is_refused(serve):
    with pytest.raises(FetchError, match="larger than 1,000 bytes"):
        Web(largest=1000).get(serve(lambda: [body(b"x" * 5000)]))


@pytest.mark.parametrize(
    ("given", "pause"), [("3", 3.0), ("nan", math.inf), ("-1", 0.0), ("tomorrow", math.inf)]
)
def test_a_busy_server_says_how_long_to_wait(serve, given, pause):
    answer = f"HTTP/1.1 429 Busy\r\nRetry-After: {given}\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(PassingError, match="status 429") as busy:
        Web().get(serve(lambda: [answer]))
    assert busy.value.pause == pause


@pytest.mark.parametrize("url", ["nowhere", "ftp://x/y", "file:///etc/passwd"])
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(FetchError, match="check the base address"):
        Web().get(url)


def test_after_a_stop_nothing_is_read_and_nobody_waits(serve):
    web, begun = Web(), time.monotonic()
    web.stop()
    web.sleep(60.0)
    with pytest.raises(FetchError, match="was stopped"):
        web.get(serve(lambda: [body(b"abc")]))
    assert time.monotonic() - begun < 5.0
