"""Speed of training: how much of PPO's time the environment takes, and PPO end to end beside a peer. ``make bench``.

Rates count CPU seconds of one thread. The peer's PPO is stable-baselines3's own, with its default settings, on
gym-trading-env under DummyVecEnv(8). Large batches must not buy speed with learning: the last table trains on market A
with its state shown and gives the growth reached after equal numbers of steps, as parts of the oracle's.

    python tests/benchmarks/training.py [--json FILE] [--without-peers] [--steps 200000]
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
from tests.benchmarks.run import bench_market

import gearing
from gearing.agents import agent_settings, train_agent
from gearing.agents.randomness import own_randomness
from gearing.agents.sb3.learner import SB3Learner
from gearing.agents.scoring import Scorer
from gearing.envs.sb3 import PerpetualVecEnv
from gearing.market.oracle.best_leverage import oracle_growth
from gearing.policies.oracle import state_table
from gearing.simulation import SimulationConfig
from gearing.simulation.config import market_a_settings

HERE = Path(__file__).resolve().parent
SIZES = (256, 1024)
UPDATES = 4


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
    """PPO with shipped settings on hourly decisions and the default columns."""
    settings = agent_settings("ppo", n_accounts=n, parameters={"batch_size": 32 * n // 4})
    config = SimulationConfig(
        direction="long", max_leverage=20.0, decision_interval="1h", episode_length="30d", start="random"
    )
    table = gearing.FeatureSet.default().compute(market)
    return SB3Learner(settings, [market], [table], config, 0, 10**9, {})


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


def quality(steps: int) -> list[dict[str, float]]:
    """Score after equal numbers of steps: many accounts and large batches, and eight with the library's defaults."""
    markets = [gearing.synthetic_market("market-a", seed=seed, years=200) for seed in (1, 2)]
    config = SimulationConfig(**market_a_settings())
    tables = [state_table(market) for market in markets]
    scorer, oracle = Scorer(markets[1:], tables[1:], config), oracle_growth(markets[1], path=True)
    defaults = {"n_steps": 256, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4, "gae_lambda": 0.95}
    rows = []
    for n, given in ((1024, {"n_steps": 32, "batch_size": 8192}), (8, defaults)):
        agent = {
            "algorithm": "ppo", "task": "market_a_full", "n_accounts": n, "validate_every": steps, "parameters": given,
        }  # fmt: skip
        trained = train_agent(agent, markets[0], tables[0], config, seed=0, total_decisions=steps)
        row = trained.history[-1]
        rows.append(
            {
                "envs": n,
                "steps": row["decisions"],
                "seconds": row["seconds"],
                "score": scorer(trained.policy) / oracle,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--steps", type=int, default=200_000)
    options = parser.parse_args()
    market = bench_market()
    shares = [share_of_env(market, n) for n in SIZES]
    for s in shares:
        print(
            f"PPO, {s['envs']:5d} envs  {s['steps_per_second']:9,.0f} steps/s, {s['share']:.1%} of it in the env"
        )
    result: dict[str, Any] = {"shares": shares}
    if not options.without_peers:
        result["peer"] = found = peer(20_000)
        for name, rate in found.items():
            told = (
                rate
                if name == "skipped"
                else f"{rate:,.0f} steps/s; ours at 1024 envs is "
                + ", ".join(
                    f"{s['steps_per_second'] / rate:.0f} times that" for s in shares if s["envs"] == 1024
                )
            )
            print(f"gym-trading-env  {name}: {told}")
    result["quality"] = quality(options.steps)
    for row in result["quality"]:
        print(
            f"A-full, {row['envs']:5d} envs  {row['score']:.3f} of the oracle after {row['steps']:,} steps, "
            f"{row['seconds']:.0f} s"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
