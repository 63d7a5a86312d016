"""Where one thing is left out of market A, the learned leverage lies where the optimum's no-trade band is."""

import numpy as np
import pytest

from gearing.agents import train_agent
from gearing.agents.scoring import Scorer
from gearing.studies.regret.config import RegretConfig
from gearing.studies.regret.run import play, references

AGENT = {
    "algorithm": "differentiable", "task": "market_a_full", "total_decisions": 8_000_000, "validate_every": 8_000_000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["zero-drift", "one-volatility", "funding-only", "no-jumps"])
def test_the_learned_leverage_lies_in_the_optimums_no_trade_band(variant):
    config = RegretConfig(
        name="known", market={"generator": "market-a", "variant": variant}, agents=["differentiable"]
    )
    # 2,000 years: with 400 the sample's own drift moves the best leverage by as much as the grid's step.
    market, table = config.open(seed=1, years=2000)
    policy = train_agent(AGENT, market, table, config.simulation(), seed=0).policy
    market, table = config.open(seed=2, years=100)
    oracle = references(config, market)["oracle"]
    scorer = Scorer([market], [oracle.join(table)], config.simulation())
    mine, best = play(scorer, policy), play(scorer, oracle)
    told = {name: round(float(mine[name]), 3) for name in ("inside", "outside_by", "leverage")}
    # Of all decisions, within a step of the grid on which the oracle is solved.
    assert mine["inside"] > 0.65, told
    assert mine["outside_by"] < 0.25, told  # leverage, on average
    assert np.abs(mine["growth"].sum() - best["growth"].sum()) / 100 < 0.05, told
