"""On real history: a model of four contracts forecasts two others better than their own HAR."""

import numpy as np
import pytest

from gearing.forecasters import forecast_rows, forecaster, walk_forward
from gearing.forecasters.panel import Panel, panel_forecast
from gearing.forecasters.scoring.scores import qlike
from gearing.market import load_market

pytestmark = pytest.mark.slow
POOL = ("ADAUSDT", "LINKUSDT", "BNBUSDT", "BCHUSDT")
MISSING = {"missing_mark": "last", "missing_funding": "zero", "missing_tiers": "earliest"}


def test_contracts_that_it_never_saw_are_forecast_better_than_by_their_own_har(real_history):
    markets = {s: load_market(real_history, [s], **MISSING) for s in (*POOL, "ETHUSDT", "SOLUSDT")}
    panel = Panel.of(markets)
    for symbol in ("ETHUSDT", "SOLUSDT"):
        made = panel_forecast(panel, symbol, POOL)
        har = forecaster("har")
        own = walk_forward(har.estimator(), forecast_rows(markets[symbol], har.columns, "24h", "24h"))
        times = np.intersect1d(made.rows.known_at[made.rows.trainable], own.rows.known_at)
        losses = [
            qlike(one.rows.y[at], one.value[at]).mean()
            for one in (made, own)
            for at in [np.isin(one.rows.known_at, times)]
        ]
        assert losses[0] < 0.9 * losses[1], symbol
