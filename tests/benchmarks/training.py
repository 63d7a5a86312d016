"""Speed of training: PPO end to end compared with a peer, and CPU seconds to a known optimum. ``make bench``.

Rates count CPU seconds of one thread. The peer's PPO is stable-baselines3's own, with its default settings, on
gym-trading-env under DummyVecEnv(8). Large batches must not buy speed with learning: the rate is that of the settings
with which the last table trains on market A, state shown, until 0.9 of the oracle's growth on the validation market.

    python tests/benchmarks/training.py [--json FILE] [--without-peers] [--seeds 1] [--steps DECISIONS]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Chooses the folder of compiled code by the sources, so that no stale code is measured; before numba is imported.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.peers import environment

import gearing
from gearing.agents import agent_settings, train_agent
from gearing.agents.randomness import own_randomness
from gearing.agents.sb3.learner import SB3Learner
from gearing.envs.sb3 import PerpetualVecEnv
from gearing.market.oracle.best_leverage import oracle_growth
from gearing.policies.oracle import state_table
from gearing.simulation import SimulationConfig
from gearing.simulation.config import market_a_settings

HERE = Path(__file__).resolve().parent
SIZES = (256, 1024)
UPDATES = 4
GOAL = 0.9  # share of the oracle's growth


@contextmanager
def timed_method(kind: type, name: str) -> Iterator[list[float]]:
    """CPU seconds spent inside a method of a class."""
    method, spent = getattr(kind, name), [0.0]

    def timed(*given: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return method(*given, **named)
        finally:
            spent[0] += time.thread_time() - began

    setattr(kind, name, timed)
    try:
        yield spent
    finally:
        setattr(kind, name, method)


def learner_of(market: gearing.MarketData, n: int) -> SB3Learner:
    """PPO with the settings shipped for market A; the batches are smaller in proportion with fewer accounts."""
    shipped = agent_settings("ppo", task="market_a_full")
    batch = shipped.parameters["batch_size"] * n // shipped.n_accounts
    settings = agent_settings(shipped, n_accounts=n, parameters={"batch_size": batch})
    config = SimulationConfig(**market_a_settings()).with_(start="random", episode_length=settings.episode)
    return SB3Learner(settings, [market], [state_table(market)], config, 0, 10**9, {})


def share_of_env(market: gearing.MarketData, n: int) -> dict[str, float]:
    """CPU time of the env, resets of ended episodes included, as a part of all of training, and its rate.

    The env is `PerpetualVecEnv`, as stable-baselines3 calls it; what `LearningVecEnv` adds to the rewards belongs to
    learning.
    """
    with own_randomness(0), timed_method(PerpetualVecEnv, "step_wait") as inside:
        learner = learner_of(market, n)
        learner.update()
        inside[0], before, began = 0.0, learner.decisions, time.thread_time()
        for _ in range(UPDATES):
            learner.update()
        whole = time.thread_time() - began
    return {"envs": n, "share": inside[0] / whole, "steps_per_second": (learner.decisions - before) / whole}


def peer(steps: int) -> dict[str, Any]:
    """The peer's rate, measured in its own interpreter with this environment's learning library."""
    python = environment("gym-trading-env")
    if isinstance(python, str):
        return {"skipped": python}
    site = next(p for p in sys.path if p.endswith("site-packages"))
    done = subprocess.run(
        [str(python), str(HERE / "peer_gym_trading_env_ppo.py"), str(steps)], capture_output=True, text=True,
        timeout=900, check=False, env={**os.environ, "PYTHONPATH": site},
    )  # fmt: skip
    if done.returncode != 0:
        return {"skipped": done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}
    return json.loads(done.stdout.strip().splitlines()[-1])


def seconds_to_goal(algorithm: str, seeds: int, steps: int | None) -> list[dict[str, Any]]:
    """CPU seconds of learning, without validation, until the goal on a market of 250 years, and the best share."""
    held_out = gearing.synthetic_market("market-a", seed=500, years=250)
    validation, oracle = (held_out, state_table(held_out)), oracle_growth(held_out, path=True)
    config = SimulationConfig(**market_a_settings())
    rows = []
    for seed in range(seeds):
        market = gearing.synthetic_market("market-a", seed=1000 + seed, years=1000)
        agent = {"algorithm": algorithm, "task": "market_a_full"}
        trained = train_agent(
            agent,
            market,
            state_table(market),
            config,
            seed=seed,
            total_decisions=steps,
            validation=validation,
        )
        reached = [row for row in trained.history if row["score"] >= GOAL * oracle]
        rows.append(
            {
                "agent": algorithm,
                "seed": seed,
                "seconds": reached[0]["seconds"] if reached else None,
                "decisions": reached[0]["decisions"] if reached else None,
                "best": trained.validation_score / oracle,
                "seconds_in_total": trained.history[-1]["seconds"],
            }
        )
    return rows


def print_rates(shares: list[dict[str, float]], found: dict[str, Any]) -> None:
    for s in shares:
        print(
            f"PPO, {s['envs']:5d} envs  {s['steps_per_second']:9,.0f} steps/s, {s['share']:.1%} of it in the env"
        )
    if "skipped" in found:
        print(f"gym-trading-env  skipped: {found['skipped']}")
        return
    ours = next(s["steps_per_second"] for s in shares if s["envs"] == 1024)
    for name, rate in found.items():
        print(
            f"gym-trading-env  {name}: {rate:,.0f} steps/s; ours at 1024 envs is {ours / rate:.0f} times that"
        )


def print_goals(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        reached = (
            "is not reached"
            if row["seconds"] is None
            else f"after {row['seconds']:.1f} CPU s, {row['decisions']:,} decisions"
        )
        print(
            f"A-full, {row['agent']}, seed {row['seed']}  {GOAL} of the oracle {reached}; "
            f"best {row['best']:.3f}, {row['seconds_in_total']:.1f} CPU s in total"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, help="decisions of a training, instead of the shipped number")
    options = parser.parse_args()
    market = gearing.synthetic_market("market-a", seed=1, years=200)
    result: dict[str, Any] = {"shares": [share_of_env(market, n) for n in SIZES]}
    result["peer"] = {"skipped": "--without-peers"} if options.without_peers else peer(20_000)
    print_rates(result["shares"], result["peer"])
    result["goal"] = []
    for algorithm in ("ppo", "differentiable"):
        rows = seconds_to_goal(algorithm, options.seeds, options.steps)
        print_goals(rows)
        result["goal"] += rows
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
