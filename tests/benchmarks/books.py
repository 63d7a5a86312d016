"""Speed and memory of the environment of books with 20 contracts, and CartPole in turns with it: ``make bench``.

    python tests/benchmarks/books.py [--json FILE] [--rounds 5]

Hourly bars, daily decisions, cross margin: a step walks 24 bars of 20 positions and observes the blocks of the book.
Rates count CPU seconds of one thread, medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

# Chooses the folder of compiled code by the sources, so that no stale code is measured; before numba is imported.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import tests.conftest  # noqa: F401

import gearing

CONTRACTS, ACCOUNTS, YEARS = 20, 256, 1.5
BARS = 24  # of a step
STEPS = {1: 100, ACCOUNTS: 10}  # of a round


def environments(market: gearing.MarketData, n: int) -> dict[str, Any]:
    """The book and CartPole, scalar for one account, else native vectors; actions are drawn beforehand."""
    import gymnasium
    from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

    settings = {
        "market": market,
        "rule": {"rule": "book_trend", "signal": "channel"},
        "rebalance": "band(0.2)",
    }
    if n == 1:
        return {
            "book": gymnasium.make("gearing/Book-v0", **settings).unwrapped,
            "cartpole": gymnasium.make("CartPole-v1").unwrapped,
        }
    return {
        "book": gymnasium.make_vec("gearing/Book-v0", num_envs=n, **settings),
        "cartpole": CartPoleVectorEnv(n),
    }


def seconds_per_step(env: Any, n: int, number: int) -> float:
    """CPU seconds of a step of one account."""
    env.reset(seed=number)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    env.step(actions[0])
    start = time.thread_time()
    for k in range(STEPS[n]):
        ended = env.step(actions[k % 8])[2:4]
        if n == 1 and any(ended):
            env.reset()
    return (time.thread_time() - start) / STEPS[n] / n


def measured(market: gearing.MarketData, n: int, rounds: int) -> dict[str, float]:
    """Steps a second of both, their ratio, and what an account takes."""
    envs = environments(market, n)
    times: dict[str, list[float]] = {name: [] for name in envs}
    for number in range(rounds):
        for name, env in envs.items():
            times[name].append(seconds_per_step(env, n, number))
    book = envs["book"].simulator
    arrays = (book.accounts, book.positions, book.ledgers, book.steps, book.observations, book.saturated)
    step = statistics.median(times["book"])
    ratios = [b / a for a, b in zip(times["book"], times["cartpole"], strict=True)]
    return {
        "accounts": n, "contracts": market.n_contracts, "columns": book.layout.size, "steps_per_second": 1.0 / step,
        "ns_per_contract_bar": 1e9 * step / (market.n_contracts * BARS),
        "cartpole_steps_per_second": 1.0 / statistics.median(times["cartpole"]),
        "ratio_to_cartpole": statistics.median(ratios),
        "bytes_per_account": sum(array.nbytes for array in arrays) / n,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    symbols = tuple(f"C{k:02d}" for k in range(CONTRACTS))
    market = gearing.synthetic_market("market-b", seed=3, years=YEARS, contracts=symbols)
    result = {"books": [measured(market, n, options.rounds) for n in (1, ACCOUNTS)]}
    for one in result["books"]:
        print(
            f"books of {one['contracts']:.0f} contracts, {one['accounts']:3.0f} at once: "
            f"{one['steps_per_second']:,.0f} steps of a day a CPU second, {one['ns_per_contract_bar']:.0f} ns per "
            f"contract and bar, {one['ratio_to_cartpole']:.3f} x CartPole; {one['columns']:.0f} columns, "
            f"{one['bytes_per_account'] / 1e3:.1f} kB per account"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory of the process: {peak:,.0f} MB, of which the market and its table are most")
    if options.json:
        options.json.write_text(json.dumps(result | {"peak_megabytes": peak}, indent=2))


if __name__ == "__main__":
    main()
