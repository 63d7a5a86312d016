"""The names that other tools call stay where they are."""

import pytest

import gearing

NAMES = (
    "MarketData", "load_market", "synthetic_market", "backtest", "run_study", "load_bundle", "rules",
    "oracle_growth", "oracle_leverage", "oracle_policy", "Simulator", "SimulationConfig", "FeatureSet", "venue",
)  # fmt: skip
IDS = ("Perpetual", "MarketAFull", "MarketAHidden", "MarketB")


@pytest.mark.parametrize("name", NAMES)
def test_public_names_resolve(name):
    assert name in dir(gearing)
    assert getattr(gearing, name) is not None


@pytest.mark.parametrize("name", IDS)
def test_environments_are_registered(name):
    import gymnasium

    assert f"gearing/{name}-v0" in gymnasium.registry


def test_rules_are_reached_by_their_class_names():
    assert gearing.rules.VolatilityWeighted(low=3, high=8).high == 8
    assert gearing.rules.FixedLeverage(2).leverage == 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="backtets"):
        gearing.backtets  # noqa: B018


def test_signals_of_trades_keep_their_public_path():
    from gearing.market.importing import trades_signal
    from gearing.market.sources import importing

    assert trades_signal is importing.trades_signal
