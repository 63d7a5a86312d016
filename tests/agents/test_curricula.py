"""What changes between the market as it is and the market that an agent trains on; and budgets that it is held to."""

import numpy as np
import pytest
from tests.agents.test_training import MARKET, TABLE, TINY, VALIDATION, assert_same, weights
from tests.agents.toy import MOVE, announced_market, best_growth_per_year, toy_config

from gearing.agents import agent_settings, growth_per_year, train_agent
from gearing.agents.costs import CostFactors, CostSchedule, SimulatorCosts
from gearing.agents.differentiable.learner import DifferentiableLearner
from gearing.simulation import Simulator

SMALL = {
    "algorithm": "differentiable",
    "n_accounts": 32,
    "episode": "64d",
    "scaling": "standard",
    "validate_every": 16_384,
    "network": {"layers": [8]},
    "parameters": {"n_steps": 16, "learning_rate": 0.02},
}


def train(agent, **changes):
    return train_agent(agent, MARKET, TABLE, toy_config(), **{"seed": 3, "validation": VALIDATION, **changes})


def test_drawn_costs_lie_in_their_ranges_and_depend_on_the_moment_only():
    schedule = CostSchedule(0.0, {"fees": (0.5, 2.0), "funding": (3.0, 3.0)}, seed=1, total=1000)
    drawn = [schedule.at(k) for k in range(200)]
    fees = np.array([one.fees for one in drawn])
    assert fees.min() > 0.5
    assert fees.max() < 2.0
    assert abs(np.log(fees).mean()) < 0.1  # uniform in the logarithm: as often half as double
    assert [one.funding for one in drawn] == pytest.approx([3.0] * 200)
    assert {one.slippage for one in drawn} == {1.0}
    assert schedule.at(17) == drawn[17]


def test_a_simulator_charges_the_factor_of_its_fees_and_slippage_and_then_the_true_ones_again():
    simulator = Simulator(MARKET, TABLE, toy_config(slippage=0.001, start="first"), n_accounts=1)
    costs, paid = SimulatorCosts(simulator), []
    for factor in (1.0, 2.0, 1.0):
        costs.apply(CostFactors(fees=factor, slippage=factor))
        simulator.reset(seed=0)
        simulator.step(np.array([[1.0]]))
        row = simulator.steps[0]
        paid.append((row.fees / row.turnover, row.price_pnl))
    assert paid[0] == paid[2]
    assert paid[1][0] == pytest.approx(2.0 * paid[0][0])
    assert paid[1][1] < paid[0][1]


@pytest.mark.parametrize("algorithm", ["differentiable", "ppo"])
def test_an_agent_learns_under_rising_and_drawn_costs(algorithm):
    curriculum = {"cost_warmup": 0.5, "randomise": {"fees": [0.5, 2.0], "slippage": [0.5, 2.0]}}
    agent = train(
        {**(SMALL if algorithm == "differentiable" else TINY), **curriculum}, total_decisions=32_768
    )
    assert growth_per_year(agent.policy, *VALIDATION, toy_config()) > 0.6 * best_growth_per_year(toy_config())


@pytest.mark.parametrize("algorithm", ["differentiable", "ppo"])
def test_fine_tuning_begins_with_what_was_learned_before(algorithm):
    agent = SMALL if algorithm == "differentiable" else TINY
    earlier = train(agent, total_decisions=32_768)
    market, table = announced_market(n_days=200, seed=9)
    tuned = train_agent(
        agent, market, table, toy_config(), seed=5, total_decisions=1, start_from=earlier.policy
    )
    fresh = train_agent(agent, market, table, toy_config(), seed=5, total_decisions=1)
    good = growth_per_year(earlier.policy, *VALIDATION, toy_config())
    assert growth_per_year(tuned.policy, *VALIDATION, toy_config()) > 0.9 * good
    assert growth_per_year(fresh.policy, *VALIDATION, toy_config()) < 0.5 * good


def test_fine_tuning_refuses_a_policy_of_other_columns():
    earlier = train(SMALL, total_decisions=512)
    with pytest.raises(ValueError, match="same algorithm and columns"):
        train(TINY, total_decisions=512, start_from=earlier.policy)


def test_the_price_of_liquidations_rises_above_its_budget_and_falls_below_it():
    settings = agent_settings({**SMALL, "parameters": {"liquidation_budget": 0.1, "budget_horizon": "10d"}})
    config = toy_config(start="random", episode_length="64d")
    learner = DifferentiableLearner(settings, [MARKET], [TABLE], config, 0, 4096, {})
    allowed = -np.log(0.9) / 10  # a day, so that 10 days without one have probability 0.9
    assert learner.allowed == pytest.approx(allowed)
    learner.ledger.price = 1.0
    learner.update_price(0.0)
    assert learner.ledger.price < 1.0
    assert learner.within_budget
    for _ in range(50):
        metrics = learner.update_price(3.0 * allowed)
    assert learner.ledger.price > 1.0
    assert not learner.within_budget
    assert metrics["train/budget_used"] == pytest.approx(3.0, rel=0.1)


def test_an_agent_that_must_not_be_liquidated_takes_less_leverage():
    """Blind to the side of a daily move of 2 %: 60x is liquidated by half of them, and a budget forbids that."""
    market, table = announced_market(n_days=400, seed=2)
    rising = market.replace(last=market.last * np.exp(0.006 * np.arange(400))[:, None, None])
    rising = rising.replace(mark=rising.last, index=None)
    config = toy_config(max_leverage=10.0, margin_share=1.0)
    found = {}
    for budget in (None, 0.001):
        agent = {
            **SMALL,
            "columns": ["noise"],
            "parameters": {"n_steps": 16, "learning_rate": 0.02, "softness": 0.2, "liquidation_budget": budget,
                           "budget_horizon": "10d", "budget_rate": 0.1},
        }  # fmt: skip
        policy = train_agent(agent, rising, table, config, seed=0, total_decisions=65_536).policy
        columns = np.zeros((1, 1, len(policy.description.names)), np.float32)
        import torch

        with torch.no_grad():
            low, high, *_ = policy.network.band(torch.from_numpy(columns))
        found[budget] = float(low + high) / 2
    assert found[0.001] < 0.8 * found[None]
    assert MOVE * found[None] < 1.0


def test_settings_of_a_task_replace_the_general_ones_and_are_replaced_by_what_is_given():
    tuned = agent_settings("ppo", task="market_a_full")
    assert tuned.n_accounts == 1024
    assert tuned.parameters["clip_range"] == agent_settings("ppo").parameters["clip_range"]
    given = agent_settings({"algorithm": "ppo", "task": "market_a_full", "n_accounts": 64})
    assert given.n_accounts == 64
    assert agent_settings(given) == given
    with pytest.raises(ValueError, match="Did you mean 'market_a_full'"):
        agent_settings("ppo", task="market_a_ful")


def test_the_same_curriculum_gives_the_same_weights():
    agent = {**TINY, "cost_warmup": 0.5, "randomise": {"fees": [0.5, 2.0]}}
    one, same = (weights(train(agent, total_decisions=2_048)) for _ in range(2))
    assert_same(one, same)
