"""The argument-free tasks know their oracle."""

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.envs.registration import TASKS
from gearing.policies.oracle import oracle_path_growth, state_table


@pytest.mark.parametrize("task", TASKS)
def test_tasks_report_the_oracles_growth_of_the_same_step(task):
    years = 2.0 if task == "MarketB" else 10.0
    env = gymnasium.make(f"gearing/{task}-v0", years=years)
    envs = gymnasium.make_vec(f"gearing/{task}-v0", num_envs=3, years=years)
    env.reset(seed=0)
    envs.reset(seed=0)
    for _ in range(5):
        info = env.step(env.action_space.sample())[4]
        infos = envs.step(envs.action_space.sample())[4]
        assert infos["oracle_growth"][0] == info["oracle_growth"]


def test_backtest_of_the_oracle_reproduces_its_growth_on_the_path():
    market = gearing.synthetic_market("market-a", seed=3, years=100)
    result = gearing.backtest(gearing.oracle_policy(market), market, state_table(market))
    # The first bar has no close before it to decide at.
    expected = oracle_path_growth(market)[1:].sum()
    played = np.log(result.equity[-1] / result.equity[0])
    # Two known differences, per year: funding on the moved notional and the room that an entry's fee takes.
    assert played / 100 == pytest.approx(expected / 100, abs=0.01)


def test_the_oracle_has_the_growth_of_the_literature_table():
    market = gearing.synthetic_market("market-a", seed=0, years=1)
    assert gearing.oracle_growth(market) == pytest.approx(0.902, abs=5e-4)
    assert gearing.oracle_growth(market, cost=0.0) == pytest.approx(1.088, abs=5e-4)


def test_the_observed_state_is_the_generators_own_however_long_the_market():
    market = gearing.synthetic_market("market-a", seed=2, years=30)
    table = state_table(market)
    # What is shown at a close is the truth of the bar that opens there.
    for column, truth in (("drift", "drift"), ("funding", "funding"), ("jumps", "jump_intensity")):
        np.testing.assert_allclose(table.column(column)[:-1], market.truth[truth][1:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(table.column("volatility")[:-1] ** 2, market.truth["variance"][1:], rtol=1e-5)
