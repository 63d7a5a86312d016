"""The bundle of an agent for books: one graph for its members, which plays on contracts that it has never seen."""

import numpy as np
import pytest
import torch

import gearing
from gearing.export import export_bundle, load_bundle
from gearing.export.playing import BundlePolicy
from gearing.features import FeatureSet

RULE = gearing.rules.BookTrend(windows=("10d", "20d"), short=1.0, column="realized_volatility_20d")
ACCOUNT = {"direction": "free", "margin_mode": "cross", "max_leverage": 20.0}
COLUMNS = ["scaled_momentum_10d", "scaled_momentum_20d"]


def bundled(policy, market, folder):
    """The policy from its bundle for the market's contracts."""
    table = FeatureSet(list(policy.required_columns)).compute(market)
    config = gearing.SimulationConfig(**ACCOUNT)
    return BundlePolicy(load_bundle(export_bundle(policy, folder, market=market, table=table, config=config)))


def trained(name, years, updates, episode, parameters):
    past = gearing.synthetic_market(name, seed=3, years=years, contracts=["A", "B", "C"])
    agent = {
        "algorithm": "differentiable_book", "total_decisions": updates, "n_accounts": 1, "episode": episode,
        "columns": COLUMNS, "network": {"members": 3}, "parameters": parameters,
    }  # fmt: skip
    return gearing.train(agent, past, COLUMNS, seed=0, action=RULE, **ACCOUNT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "years", "updates", "episode"),
    [("book-drift", 0.5, 3 * 60, "60d"), ("market-b", 0.2, 2 * 240, "10d")],
)
def test_an_ensemble_plays_from_its_bundle_on_contracts_it_never_saw(name, years, updates, episode, tmp_path):
    """As the backtest of the agent itself does; with weights of zero as the rule, to the last bit. Contracts of
    "book-drift" have no largest position, which a bundle holds as well."""
    policy = trained(name, years, updates, episode, {"span": 240})
    market = gearing.synthetic_market(name, seed=9, years=years, contracts=["X", "Y"])
    own = policy.for_contracts(market.symbols)
    rule = gearing.backtest(RULE, market, **ACCOUNT).equity
    played = gearing.backtest(policy, market, **ACCOUNT).equity
    from_bundle = gearing.backtest(bundled(own, market, tmp_path / "agent"), market, **ACCOUNT).equity
    np.testing.assert_allclose(from_bundle, played, rtol=1e-5)
    assert (played[-10:] != rule[-10:]).all()
    with torch.no_grad():
        for weight in own.network.parameters():
            weight.zero_()
    zero = gearing.backtest(bundled(own, market, tmp_path / "zero"), market, **ACCOUNT).equity
    np.testing.assert_array_equal(zero, rule)
