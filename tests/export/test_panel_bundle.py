"""The panel forecaster in a bundle: its graph, its columns of the market, and what a contract alone has for them."""

import numpy as np
import pytest
from tests.export.cases import SMALL

from gearing.export import BundlePolicy, export_bundle, load_bundle
from gearing.features import FeatureSet
from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.forecasters.panel import Panel
from gearing.forecasters.register import PANEL_COLUMNS
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.rules import VolatilityTarget


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=5, years=0.6, contracts=("A", "B"))


def test_rows_of_a_panel_are_the_features_of_a_market(market):
    """What a pool is fitted on is what a bundle computes: all contracts of a market, in single precision."""
    alone = {symbol: market.select([symbol]) for symbol in market.symbols}
    rows = Panel.of(alone).rows()
    table = FeatureSet(list(PANEL_COLUMNS)).compute(market)
    features = table.values[rows.bar_index, rows.contract]
    np.testing.assert_allclose(rows.X, features, rtol=2e-6, atol=2e-6)


def test_a_bundle_forecasts_as_the_fitted_model(market, tmp_path):
    one = market.select(["A"])
    column = forecast_volatility_column(
        one, "panel", schedule=Schedule(first_train="60d", refit="200d", fit_every="24h")
    )
    table = column.join(FeatureSet(["log_return"]).compute(one))
    rule = VolatilityTarget(1.0, column="forecast_volatility")
    folder = export_bundle(rule, tmp_path / "bundle", market=one, table=table, config=SMALL, forecasts=column)
    bundle = load_bundle(folder)
    assert bundle.manifest.forecasts[0].inputs == PANEL_COLUMNS
    features = FeatureSet(list(PANEL_COLUMNS)).compute(one)
    played, inputs = BundlePolicy(bundle).join(features).column("forecast_volatility"), features.values[:, 0]
    known = np.isfinite(inputs).all(axis=1)
    expected = np.sqrt(column.model.predict(inputs[known]) * 365.0)
    assert known.sum() > 24 * 180
    np.testing.assert_allclose(played[known, 0], expected, rtol=5e-5)
