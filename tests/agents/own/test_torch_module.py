"""Torch modules as policies: in backtests, studies and bundles."""

import numpy as np
import pytest
import torch
from torch import nn

import gearing
from gearing.agents import from_torch
from gearing.export import export_bundle, load_bundle
from gearing.policies.rules import VolatilityWeighted

COLUMNS = ["realized_volatility_24h", "effective_leverage"]


class OfVolatility(nn.Module):
    """0.6 of annual volatility over the last day's, at most 5."""

    def forward(self, x):
        return torch.clamp(0.6 / x[:, :1].clamp(min=0.01), max=5.0)


class Counting(nn.Module):
    """Adds up how often it was called since the episode began."""

    def forward(self, x, state):
        after = state + 1.0
        return torch.clamp(after[0], max=3.0), after


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=3, years=0.5)


def settings(**others):
    return {"direction": "long", "decision_interval": "24h", "max_leverage": 5.0, **others}


def test_a_module_trades_at_its_own_leverage(market):
    result = gearing.backtest(from_torch(OfVolatility(), COLUMNS), market, **settings())
    table = gearing.FeatureSet(["realized_volatility_24h"]).compute(market)
    known = table.column("realized_volatility_24h")[:, 0]
    deciding = np.searchsorted(market.close_time, result.time[:-1])
    expected = np.minimum(0.6 / np.maximum(known[deciding], 0.01), 5.0)
    np.testing.assert_allclose(result.target[:, 0], expected, rtol=1e-5)


def test_it_passes_the_conformance_suite(market):
    policy = from_torch(OfVolatility(), COLUMNS, max_leverage=5)
    assert gearing.check_policy(policy, market).passed.all()


def test_normalised_actions_and_residual_ones_are_mapped():
    half = nn.Sequential(nn.Linear(2, 1))
    nn.init.zeros_(half[0].weight)
    nn.init.constant_(half[0].bias, 0.5)
    view = np.ones((3, 2), np.float32)
    # Action 0.5: 8 (0.5 + 1) / 2 = 6 of 8x; signed 4; a residual one scales its rule by 1.5.
    assert (
        from_torch(half, COLUMNS, action="leverage", max_leverage=8)
        .network.predict(view, None, None, True)[0]
        .tolist()
        == [[6.0]] * 3
    )
    signed = from_torch(half, COLUMNS, action="leverage", max_leverage=8, signed=True)
    assert signed.network.predict(view, None, None, True)[0].tolist() == [[4.0]] * 3
    rule = from_torch(
        half, COLUMNS, action="residual", max_leverage=8, base=VolatilityWeighted(low=2, high=4)
    )
    assert rule.scheme.base == VolatilityWeighted(low=2, high=4)
    # In the lowest volatility the rule takes 4x.
    view = {"volatility_percentile_90d": np.array([[0.0]])}
    assert rule.scheme.leverage(np.array([[0.5]]), view, False) == 6.0


def test_a_recurrent_module_starts_from_zeros_where_an_episode_begins(market):
    policy = from_torch(Counting(), COLUMNS, state=(1, 1))
    result = gearing.backtest(policy, market, **settings())
    assert result.target[:5, 0].tolist() == [1.0, 2.0, 3.0, 3.0, 3.0]


class Wrong(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x[:, 0], r"returned shape \(2,\) for 2 observations; it must be \(2, 1\)"),
        (lambda x: x, r"returned shape \(2, 2\)"),
        (lambda x: 1.0 / x[:, :1] - 1.0 / x[:, :1], "actions must be finite"),
        (lambda x: (x, x), "returned tuple"),
        (lambda x: x @ torch.ones(7, 1), "does not decide on 2 columns of zeros"),
        (lambda x: x[:, 5:6], r"returned shape \(2, 0\)"),
    ],
)
def test_a_module_with_a_wrong_answer_is_refused_when_it_is_given(answer, message):
    with pytest.raises(ValueError, match=message):
        from_torch(Wrong(answer), COLUMNS)


def test_an_answer_that_is_not_finite_is_refused_when_it_is_given(market):
    never = from_torch(Wrong(lambda x: torch.where(x[:, :1] > 0.0, torch.nan, 1.0)), COLUMNS)
    with pytest.raises(ValueError, match=r"returned \[nan\] for the columns \["):
        gearing.backtest(never, market, **settings())


def test_columns_that_do_not_exist_are_refused_before_it_trades(market):
    with pytest.raises(ValueError, match="realised_vol"):
        gearing.backtest(
            from_torch(OfVolatility(), ["realised_vol", "effective_leverage"]), market, **settings()
        )
    with pytest.raises(TypeError, match=r"give a torch\.nn\.Module; a function: from_callable"):
        from_torch(lambda x: x, COLUMNS)
    with pytest.raises(ValueError, match="give the number of contracts"):
        from_torch(OfVolatility(), COLUMNS, n_contracts=0)
    with pytest.raises(TypeError, match="was made elsewhere"):
        from_torch(OfVolatility(), COLUMNS).save("x")


@pytest.mark.slow
def test_a_bundle_of_it_decides_as_the_module_does(market, tmp_path):
    from gearing.studies.study.exporting.inputs import bars_table, funding_table

    policy = from_torch(OfVolatility(), COLUMNS)
    config = gearing.SimulationConfig(**settings())
    table = gearing.FeatureSet(["realized_volatility_24h"]).compute(market)
    folder = export_bundle(policy, tmp_path / "bundle", market=market, table=table, config=config)
    decision = load_bundle(folder).decide(
        bars_table(market), {"wallet_balance": 10_000, "positions": {}}, funding_table(market), now="last-bar"
    )
    close = np.searchsorted(market.close_time, decision.time)
    expected = min(0.6 / max(float(table.values[close, 0, 0]), 0.01), 5.0)
    assert next(iter(decision.policy_leverage.values())) == pytest.approx(expected, rel=1e-6)
