import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.evaluation.comparisons.responses import leverage_response
from gearing.features import FeatureSet
from gearing.policies import make_rule
from gearing.simulation import SimulationConfig

MARKET = random_market(n_bars=24 * 30, n_contracts=1, seed=3)
TABLE = FeatureSet(["realized_volatility_24h", "momentum_side_7d"]).compute(MARKET)
RULE = make_rule({"rule": "volatility_target", "target": 1.0, "column": "realized_volatility_24h"})


def test_a_volatility_target_halves_its_leverage_where_volatility_doubles():
    config = SimulationConfig(margin_share=0.5, max_leverage=20.0)
    found = leverage_response(RULE, TABLE, config, "realized_volatility_24h", [0.5, 1.0])
    np.testing.assert_allclose(found, [0.5 * 2.0, 0.5 * 1.0])  # margin share x target / volatility


def test_a_direction_gives_the_target_its_side():
    config = SimulationConfig(direction="signal:momentum_side_7d")
    found = leverage_response(
        RULE, TABLE, config, "momentum_side_7d", [-1.0, 0.0, 1.0], at={"realized_volatility_24h": 1.0}
    )
    np.testing.assert_allclose(found, [-1.0, 0.0, 1.0])


def test_a_column_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no column 'volatility'"):
        leverage_response(RULE, TABLE, SimulationConfig(), "volatility", [1.0])
