"""Many contracts of 1-minute bars: memory and time to the first step when nothing is loaded as a whole.

Decisions and features are hourly, the account walks through every minute; ``--bar 1m`` computes features by the minute.
Writes synthetic minutes into a store, then opens it in fresh processes: once to compute features and lay out the rows,
once more when they are there (files dropped from the page cache before, where the system can). Memory is that of the
process: "own" (anonymous, cannot be given back) apart from "mapped" (file pages, given back when others need them).

    python tests/benchmarks/minutes.py [--contracts 50] [--years 5] [--bar 1h] [--accounts 1024] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Chooses the folder of compiled code by the sources, so that no stale code is measured; before numba is imported.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import tests.conftest  # noqa: F401

import gearing
from gearing.market import open_store, resample
from gearing.market.store import write_store
from gearing.simulation import SimulationConfig, Simulator

MINUTES = 60
WICK = 0.3  # of a minute's standard deviation
GIGABYTE = 1e9


def minutes(symbol: str, seed: int, years: float) -> gearing.MarketData:
    """A contract's minutes: Gaussian steps of the variance that market B has in that hour, its funding beside them."""
    hourly = gearing.synthetic_market("market-b", seed=seed, years=years, contracts=(symbol,))
    stream = np.random.default_rng(seed)
    sd = np.sqrt(hourly.truth["variance"][:, 0] / (8760 * MINUTES))
    steps = stream.standard_normal((hourly.n_bars, MINUTES)) * sd[:, None]
    close = 20_000.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[20_000.0], close[:-1]])
    wick = 1.0 + WICK * np.abs(stream.standard_normal(close.size)) * np.repeat(sd, MINUTES)
    high, low = np.maximum(opened, close) * wick, np.minimum(opened, close) / wick
    prices = np.stack([opened, high, low, close], axis=-1)[:, None]
    minute = np.timedelta64(60_000, "ms")
    settlements = hourly.settlements.copy()
    settlements["mark"] = np.nan
    return gearing.MarketData(
        open_time=hourly.open_time[0] + minute * np.arange(close.size),
        bar=minute, contracts=hourly.contracts, last=prices, mark=prices,
        volume=np.repeat(hourly.volume / MINUTES, MINUTES, axis=0), settlements=settlements,
        tradable=np.ones((close.size, 1), bool), name=symbol,
    )  # fmt: skip


class Memory:
    """Largest memory of this process while the block runs, sampled."""

    def __enter__(self) -> Memory:
        self.own = self.mapped = self.total = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            own, mapped = resident()
            self.own, self.mapped = max(self.own, own), max(self.mapped, mapped)
            self.total = max(self.total, own + mapped)

    def told(self) -> dict[str, float]:
        return {"own_gb": self.own, "mapped_gb": self.mapped, "resident_gb": self.total}


def resident() -> tuple[float, float]:
    """Anonymous and file-backed resident memory [GB]; Linux."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kb = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Rss")}
    return float(kb["RssAnon"]) * 1024 / GIGABYTE, float(kb["RssFile"]) * 1024 / GIGABYTE


def build(store: Path, options: argparse.Namespace) -> dict[str, Any]:
    names = [f"C{k:02d}" for k in range(options.contracts)]
    with Memory() as memory:
        start = time.perf_counter()
        write_store(store, (minutes(name, k, options.years) for k, name in enumerate(names)))
        seconds = time.perf_counter() - start
    return {"seconds": seconds, **memory.told()}


def step(store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Open the store, take a first step with ``--accounts`` accounts, then many."""
    config = SimulationConfig(
        max_leverage=20.0, decision_interval="1h", episode_length="30d", ruin_fraction=0.0
    )
    targets = np.random.default_rng(0).uniform(0.0, 5.0, (16, options.accounts, 1))
    with Memory() as memory:
        start = time.perf_counter()
        whole = open_store(store)
        markets = [resample(whole.select(symbol), options.bar) for symbol in whole.symbols]
        simulation = Simulator(markets, None, config, n_accounts=options.accounts)
        simulation.reset(seed=0)
        simulation.step(targets[0])
        first, cpu = time.perf_counter() - start, time.process_time()
    with Memory() as stepping:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < options.seconds:
            if count % 700 == 699:
                simulation.reset()
            simulation.step(targets[count % 16])
            count += 1
        rate = count * options.accounts / (time.perf_counter() - start)
    return {
        "seconds_to_first_step": first, "cpu_seconds_to_first_step": cpu, **memory.told(),
        "steps_per_second": rate, "row_steps_per_second": 60 * rate,
        "rows": len(simulation.tape.rows), "columns": simulation.layout.size,
        "stepping": stepping.told(), "paths": len(markets),
        "bytes": {
            "market": sum(getattr(whole, name).nbytes for name in ("last", "mark", "volume", "tradable")),
            "rows": simulation.tape.rows.nbytes + simulation.tape.row_time.nbytes,
            "features": simulation.tape.features.nbytes,
        },
    }  # fmt: skip


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache, so that the next process reads the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in _files(folder):
        with path.open("rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def alone(phase: str, store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a phase in a process of its own."""
    command = [
        sys.executable, __file__, "--phase", phase, "--folder", str(store), "--contracts", str(options.contracts),
        "--years", str(options.years), "--bar", options.bar, "--accounts", str(options.accounts),
        "--seconds", str(options.seconds),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(result: dict[str, Any]) -> None:
    size, again = result["first"]["bytes"], result["again"]
    held = sum(size.values()) / GIGABYTE
    print(
        f"{again['paths']} contracts, {again['rows']:,} rows of a minute, {result['disk_gb']:.1f} GB on disk"
    )
    parts = ", ".join(f"{name} {count / GIGABYTE:.1f}" for name, count in size.items())
    print(f"loaded it would be {held:.1f} GB: {parts}")
    print(
        f"CPU s to the first step: {result['first']['cpu_seconds_to_first_step']:.0f}, and with files there "
        f"{again['cpu_seconds_to_first_step']:.0f}"
    )
    print(f"\n{'':28s}  seconds   own GB   mapped GB   resident GB (peaks)")
    for name, part, seconds in (
        ("write the store", result["build"], result["build"]["seconds"]),
        ("first step, making files", result["first"], result["first"]["seconds_to_first_step"]),
        ("first step, files there", again, again["seconds_to_first_step"]),
        ("stepping", again["stepping"], result["seconds"]),
    ):
        memory = f"{part['own_gb']:7.2f}  {part['mapped_gb']:10.2f}  {part['resident_gb']:10.2f}"
        print(f"{name:28s}  {seconds:7.1f}  {memory}")
    print(
        f"\n{again['steps_per_second']:,.0f} hourly decisions a second ({again['row_steps_per_second']:,.0f} minutes) "
        f"of {result['accounts']} accounts, {again['columns']} columns"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contracts", type=int, default=50)
    parser.add_argument("--years", type=float, default=5.0)
    parser.add_argument("--bar", default="1h", help="bars of features and decisions: 1h or 1m")
    parser.add_argument("--accounts", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to step")
    parser.add_argument(
        "--folder", type=Path, help="where the files go, and are removed; default a temporary folder"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--phase", choices=["build", "step"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        print(json.dumps((build if options.phase == "build" else step)(options.folder, options)))
        return
    home = Path(tempfile.mkdtemp(prefix="minutes-", dir=options.folder))
    try:
        store = home / "store"
        result: dict[str, Any] = {"accounts": options.accounts, "seconds": options.seconds}
        result["build"] = alone("build", store, options)
        result["first"] = alone("step", store, options)
        result["disk_gb"] = sum(path.stat().st_size for path in _files(store)) / GIGABYTE
        forget(store)
        result["again"] = alone("step", store, options)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
