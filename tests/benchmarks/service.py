"""Requests a second and the 99th percentile of the service, with a decision and its line on disk in each.

python tests/benchmarks/service.py [--requests 400] [--clients 4]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.live.service import cases


def main() -> None:
    """Measure new decisions, each with its fsync, and repeated ones, answered from the session."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = [f"b{k}" for k in range(given.clients)]
        bundle = cases.bundle(Path(folder) / "bundle")
        with cases.Process([f"{name}={bundle}" for name in names], Path(folder) / "logs") as service:
            for kind in ("new decisions", "repeated decisions"):
                print(line(kind, *measured(service.address, names, given.requests, kind == "new decisions")))


def measured(address: str, names: list[str], count: int, new: bool) -> tuple[list[float], float]:
    """Seconds of every request, and of all together; a client for each bundle."""
    seconds: list[float] = []

    def ask(name: str) -> None:
        body = cases.body(20)
        with httpx.Client(base_url=address, headers=cases.HEADERS, timeout=60.0) as client:
            for k in range(count // len(names)):
                if new:  # a refused decision is not repeated: each is computed, and logged
                    body["bars"][-1] = {**body["bars"][-1], "high": 1e9 + k}
                begun = time.perf_counter()
                answer = client.post(f"/bundles/{name}/decide", json=body)
                seconds.append(time.perf_counter() - begun)
                assert answer.status_code == 200, answer.text

    begun = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return seconds, time.perf_counter() - begun


def line(kind: str, seconds: list[float], total: float) -> str:
    """The result as a line."""
    rate, half, late = len(seconds) / total, *np.quantile(seconds, [0.5, 0.99])
    return f"{kind:<20}{rate:8.0f} requests/s   median {half * 1e3:6.1f} ms   p99 {late * 1e3:6.1f} ms"


if __name__ == "__main__":
    main()
