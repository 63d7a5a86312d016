"""The bundle of an agent for books: one graph for its members, which plays on contracts that it has never seen."""

import numpy as np
import pytest

import gearing
from gearing.export import export_bundle
from gearing.export.playing import BundlePolicy

RULE = {"windows": ("10d", "20d"), "short": 1.0, "column": "realized_volatility_20d"}
ACCOUNT = {"direction": "free", "margin_mode": "cross", "max_leverage": 20.0}
AGENT = {
    "algorithm": "differentiable_book", "total_decisions": 3 * 8 * 60, "n_accounts": 8, "episode": "60d",
    "columns": ["scaled_momentum_10d", "scaled_momentum_20d"], "network": {"members": 3},
}  # fmt: skip


@pytest.mark.slow
def test_an_ensemble_plays_from_its_bundle_on_contracts_it_never_saw(tmp_path):
    past = gearing.synthetic_market("book-drift", seed=3, years=0.8, contracts=["A", "B", "C"])
    rule = gearing.rules.BookTrend(**RULE)
    policy = gearing.train(AGENT, past, AGENT["columns"], seed=0, action=rule, **ACCOUNT)
    market = gearing.synthetic_market("book-drift", seed=9, years=0.8, contracts=["X", "Y", "Z", "V", "W"])
    played = gearing.backtest(policy, market)
    own = policy.for_contracts(market.symbols)
    table = gearing.FeatureSet(list(policy.required_columns)).compute(market)
    config = gearing.SimulationConfig(**ACCOUNT)
    folder = export_bundle(own, tmp_path / "bundle", market=market, table=table, config=config)
    bundled = gearing.backtest(BundlePolicy(gearing.load_bundle(folder)), market, **ACCOUNT)
    np.testing.assert_allclose(bundled.equity, played.equity, rtol=1e-5)
    assert (played.equity != gearing.backtest(rule, market, **ACCOUNT).equity).any()
