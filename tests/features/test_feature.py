import numpy as np
import pytest
from tests.features.markets import HOUR, random_market

from gearing.features import FeatureSet, feature, forget_feature, get_feature, registered_features


def test_a_family_has_a_member_for_any_window():
    assert get_feature("realized_volatility_36h").lookback_bars(HOUR) == 37


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'funding_rate'"):
        get_feature("funding_rates")


def test_a_feature_of_ones_own_registers_by_decorator_and_joins_a_set():
    @feature(unit="-", lower=-1.0, upper=1.0, source="test", lookback="1bar")
    def up_or_down(market):
        change = np.diff(market.close, axis=0, prepend=np.nan)
        return np.sign(change)

    try:
        market = random_market(60)
        table = FeatureSet(["up_or_down", "log_return"]).compute(market)
        assert (np.sign(table.column("log_return")[1:]) == table.column("up_or_down")[1:]).all()
        with pytest.raises(ValueError, match="already registered"):
            feature(unit="-", lower=-1.0, upper=1.0, source="test", lookback="0h", name="up_or_down")(
                lambda m: m
            )
    finally:
        forget_feature("up_or_down")
    assert "up_or_down" not in [f.name for f in registered_features()]


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (1.0, 1.0), (np.nan, 1.0)])
def test_bounds_must_be_finite_and_apart(bounds):
    with pytest.raises(ValueError, match="bounds"):
        feature(unit="-", lower=bounds[0], upper=bounds[1], source="test", lookback="0h", name="bad")(
            lambda m: m
        )


def test_every_feature_says_its_unit_and_source():
    assert all(f.unit and f.source and f.lookback for f in registered_features())
