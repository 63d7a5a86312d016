"""Agents in a study of books: trained on days before each refit, and the rule itself where nothing was learned."""

import numpy as np
import pytest
from tests.studies.portfolio.small import SMALL

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import policy_table
from gearing.market.synthetic.generators import synthetic_market
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.learning import made, trained
from gearing.studies.portfolio.play import Book

AGENT = {
    "algorithm": "differentiable_book", "base": "trend", "columns": ["scaled_momentum_5d", "scaled_momentum_20d"],
    "total_decisions": 3 * 60 * 8, "n_accounts": 8, "episode": "60d", "seeds": 2,
}  # fmt: skip
NOTHING_LEARNED = {**AGENT, "parameters": {"learning_rate": 1e-30, "final_learning_rate": 0.0}}


def config(agent=AGENT, **changes):
    rules = {"trend": SMALL["rules"]["trend"], "one": SMALL["rules"]["one"]}
    given = {**SMALL, "rules": rules, "main": "agent", "agents": {"agent": agent}} | changes
    return PortfolioConfig.model_validate(given)


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=5, years=0.9, contracts=("A", "B", "C"))


def played(study, name, market):
    policy = made(study, name, market)
    account = study.simulation(start="first")
    return backtest(policy, market, policy_table(policy, market, None, account), **vars(account))


def test_an_agent_that_learned_nothing_is_its_base_to_the_last_bit(market):
    study = config(NOTHING_LEARNED)
    np.testing.assert_array_equal(
        played(study, "agent", market).equity, played(study, "trend", market).equity
    )


def test_an_agent_does_not_see_days_after_its_refit(market):
    """The policies of the first refit are those of a market that ends there."""
    study = config()
    first = np.datetime64(study.test.from_, "ms")
    later = trained(study, "agent", market)
    assert list(later.since[:2]) == [first, first + np.timedelta64(90, "D")]
    other = trained(study, "agent", market.between(None, first + np.timedelta64(1, "D")))
    for one, two in zip(
        later.policies[0].network.parameters(), other.policies[0].network.parameters(), strict=True
    ):
        np.testing.assert_array_equal(one.detach().numpy(), two.detach().numpy())


def test_a_result_depends_on_the_agent_and_on_the_rule_that_it_scales():
    one, other = config(), config({**AGENT, "seeds": 3})
    changed = config(rules={"trend": {**SMALL["rules"]["trend"], "windows": ["5d"]}})
    same, *different = (Book("agent").settings(each) for each in (one, other, changed))
    assert same == Book("agent").settings(config(base="trend"))
    assert all(each != same for each in different)
    assert Book("trend").settings(one) == Book("trend").settings(other)


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({**AGENT, "base": "trnd"}, "trend"),
        ({**AGENT, "base": "one"}, "trades contracts of its own"),
        ({"algorithm": "ppo", "base": "trend"}, "trains differentiable_book alone"),
        ({"algorithm": "differentiable_book", "base": "trend"}, "name the columns"),
    ],
)
def test_agents_that_do_not_fit_are_refused(agent, message):
    with pytest.raises(ValueError, match=message):
        config(agent)
    with pytest.raises(ValueError, match="share a name"):
        config(agents={"trend": AGENT}, main="trend")
