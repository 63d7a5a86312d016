"""Metrics of the service, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gearing.live.service.worker import Worker

CONTENT_TYPE = CONTENT_TYPE_LATEST
_STATES = ("ACTIVE", "REDUCING", "HALTED")
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Counts of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gearing_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.decisions = Counter(
            "gearing_decisions", "Decisions by outcome", ["bundle", "outcome"], registry=self.registry
        )
        self.refusals = Counter(
            "gearing_refusals", "Reasons of refused decisions", ["bundle", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "gearing_decision_seconds", "Time from request to answer", ["bundle"], buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "gearing_waiting", "Requests that wait for a bundle", ["bundle"], registry=self.registry
        )
        self.state = Gauge(
            "gearing_state",
            "1 for the state a bundle's session is in",
            ["bundle", "state"],
            registry=self.registry,
        )
        self.bundle = Gauge(
            "gearing_bundle", "1 for the bundle that is loaded", ["bundle", "digest"], registry=self.registry
        )
        self.decided = Gauge(
            "gearing_last_decision_seconds", "Close of the last decision, seconds since 1970", ["bundle"],
            registry=self.registry,
        )  # fmt: skip

    def note(self, name: str, decision: Mapping[str, Any]) -> None:
        """Count a decision."""
        refusals = decision["refusals"]
        self.decisions.labels(name, "refused" if refusals else "decided").inc()
        for code in {one["code"] for one in refusals}:
            self.refusals.labels(name, code).inc()

    def text(self, workers: Mapping[str, Worker]) -> bytes:
        """The present numbers."""
        self.bundle.clear()
        for name, worker in workers.items():
            self.waiting.labels(name).set(worker.waiting)
            self.bundle.labels(name, worker.bundle.digest).set(1)
            for state in _STATES:
                self.state.labels(name, state).set(worker.session.state == state)
            last = worker.session.last
            if last is not None and not np.isnat(last.time):
                self.decided.labels(name).set(last.time.astype("datetime64[ms]").astype(int) / 1000.0)
        return bytes(generate_latest(self.registry))
