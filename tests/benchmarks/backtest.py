"""Speed of backtests and sweeps beside vectorbt, measured in this run: ``make bench``.

* A backtest of 43,800 hourly bars from a precomputed target series, to its total return: ``Simulator.run`` with margin,
  tiers, funding and liquidation, against vectorbt's portfolio of the same bars and targets, which has none of them.
  Once with a target for every hour, once with one a day. CPU seconds of one thread, the best of many rounds
  as others share the machine; vectorbt runs in an environment of its own.
* A sweep of 10,000 configurations over six years of hourly bars on two threads: wall and CPU seconds, and the memory
  it adds. Wall seconds say what the machine had to spare; CPU seconds over two is what two idle cores take.

    python tests/benchmarks/backtest.py [--json FILE] [--without-peers] [--configurations 10000] [--interval 24h]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# Chooses the folder of compiled code by the sources, so that no stale code is measured; before numba is imported.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import tests.conftest  # noqa: F401
from tests.benchmarks.peers import environment

import gearing
from gearing.evaluation.sweep.walk_forward import sweep
from gearing.simulation import SimulationConfig, Simulator

HERE = Path(__file__).resolve().parent
BARS = 43_800  # five years


def targets_of(count: int) -> np.ndarray:
    """A leverage that follows a slow random walk between 0 and 1, which vectorbt can hold without borrowing."""
    steps = np.random.default_rng(0).normal(0.0, 0.05, count)
    return 0.5 + 0.5 * np.sin(np.cumsum(steps))


def own_backtest(market: gearing.MarketData, interval: str, rounds: int) -> dict[str, float]:
    """CPU seconds from a target series to the total return, and with laying out the market before it."""
    config = SimulationConfig(max_leverage=20.0, decision_interval=interval, start="first", slippage=2e-4)
    table = gearing.FeatureSet(["log_return"]).compute(market)
    run, laid_out = [], []
    for _ in range(rounds + 1):
        start = time.thread_time()
        simulator = Simulator(market, table, config)
        simulator.reset(seed=0)
        targets = targets_of(simulator.n_decisions)[:, None]
        ready = time.thread_time()
        simulator.run(targets, record_steps=False)
        total_return = float(simulator.accounts.equity[0]) / config.initial_equity - 1.0
        run.append(time.thread_time() - ready)
        laid_out.append(time.thread_time() - start)
    return {"seconds": min(run), "with_layout": min(laid_out), "total_return": total_return}


def vectorbt(market: gearing.MarketData, interval: str, rounds: int) -> dict[str, float | str]:
    """What vectorbt takes for the same bars and as many targets; NaN, no order, in the bars between."""
    python = environment("vectorbt")
    if isinstance(python, str):
        return {"skipped": python}
    every = int(np.timedelta64(int(interval.removesuffix("h")), "h") // market.bar)
    target = np.full(market.n_bars, np.nan)
    target[::every] = targets_of(-(-market.n_bars // every))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "close.npy", market.close[:, 0])
        np.save(Path(folder) / "target.npy", target)
        command = [str(python), str(HERE / "peer_vectorbt.py"), folder, str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        return {"skipped": f"failed: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(market: gearing.MarketData, interval: str, rounds: int, peers: bool) -> dict[str, object]:
    """Print and return one comparison."""
    ours = own_backtest(market, interval, rounds)
    print(f"backtest       {1e3 * ours['seconds']:.2f} ms for {market.n_bars} bars, a target every {interval} "
          f"({1e3 * ours['with_layout']:.0f} ms with laying out the market)")  # fmt: skip
    if not peers:
        return {"gearing": ours}
    peer = vectorbt(market, interval, rounds)
    if "skipped" in peer:
        print(f"vectorbt       {peer['skipped']}")
    else:
        seconds = float(peer["seconds"])
        print(f"vectorbt       {1e3 * seconds:.2f} ms: {seconds / ours['seconds']:.1f} times as long")
    return {"gearing": ours, "vectorbt": peer}


def sweep_of(market: gearing.MarketData, count: int, interval: str) -> dict[str, float | str]:
    """Walk-forward choice among ``count`` volatility-weighted rules, after a small one that compiled everything."""
    side = max(9, round(count**0.5))
    space = {
        "rule": "volatility_weighted", "low": np.linspace(0.5, 4.0, side).tolist(),
        "high": np.linspace(4.0, 12.0, side).tolist(), "column": "volatility_percentile_30d",
    }  # fmt: skip
    settings = {"decision_interval": interval, "margin_share": 0.2, "n_threads": 2}
    sweep(space, market, n=64, **settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    done = sweep(space, market, **settings)
    return {
        "configurations": done.n_configurations, "interval": interval, "bars": market.n_bars,
        "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
        "more_megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--configurations", type=int, default=10_000)
    parser.add_argument("--interval", default="24h", help="of the sweep's decisions; bars are hourly")
    options = parser.parse_args()
    years = gearing.synthetic_market("market-b", seed=3, years=6)
    market = years.between(None, years.open_time[BARS])
    result: dict[str, object] = {
        interval: compare(market, interval, options.rounds, not options.without_peers)
        for interval in ("1h", "24h")
    }
    result["sweep"] = swept = sweep_of(years, options.configurations, options.interval)
    print(
        f"sweep          {swept['configurations']:,} configurations, {swept['bars']:,} hourly bars, decisions every "
        f"{swept['interval']}: {swept['seconds']:.1f} s ({swept['cpu_seconds']:.1f} CPU s on two threads), "
        f"{swept['more_megabytes']:.0f} MB more than a sweep of 64"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
