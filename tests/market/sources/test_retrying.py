"""Tries, waits and the time after which nothing is tried again."""

import pytest

from gearing.market.sources import retrying
from gearing.market.sources.retrying import FetchError, PassingError, Patience, Retrying


class Clock:
    """A clock that only sleeping and calls move."""

    def __init__(self, monkeypatch, call_takes=0.0):
        self.now, self.call_takes, self.waits, self.calls = 0.0, call_takes, [], 0
        monkeypatch.setattr(retrying.time, "monotonic", lambda: self.now)

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    def fail(self, pause=0.0):
        def call(deadline):
            self.calls += 1
            self.now += self.call_takes
            raise PassingError("busy", pause)

        return call


def test_waits_double_up_to_their_bound(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(FetchError, match="busy after 6 tries; try again later"):
        Retrying(Patience(5, 1.0, 6.0), clock.sleep).run(clock.fail())
    assert clock.waits == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert clock.calls == 6


def test_a_server_that_is_busy_for_ever_ends_after_the_longest_time(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(
        FetchError, match=r"busy; given up after 7 tries, because 100 seconds are the longest time"
    ):
        # 1 + 2 + 4 + 8 + 16 + 32 = 63 s; the next wait would end at 127 s
        Retrying(Patience(1000, 1.0, 64.0, 100.0), clock.sleep).run(clock.fail())
    assert clock.now <= 100.0


def test_a_pause_that_the_server_requests_is_kept_within_the_bound(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(FetchError, match="busy"):
        Retrying(Patience(2, 1.0, 5.0), clock.sleep).run(clock.fail(pause=float("inf")))
    assert clock.now == pytest.approx(10.0)  # two waits of five seconds, not twice as many


def test_a_result_ends_the_tries(monkeypatch):
    clock = Clock(monkeypatch)
    results = iter([PassingError("once"), 7])

    def call(deadline):
        found = next(results)
        if isinstance(found, Exception):
            raise found
        return found

    assert Retrying(Patience(), clock.sleep).run(call) == 7
    assert clock.waits == [0.5]


def test_another_error_is_not_tried_again(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(KeyError):
        Retrying(Patience(), clock.sleep).run(lambda deadline: {}["x"])
    assert clock.waits == []
