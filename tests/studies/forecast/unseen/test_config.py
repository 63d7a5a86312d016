"""Settings of an experiment with contracts that no model was fitted on."""

import pytest
from pydantic import ValidationError

from gearing.studies.forecast.unseen.config import UnseenConfig

GENERATED = {"generator": "market-b", "contracts": ["A", "B"], "years": 0.1}


def config(**settings):
    return UnseenConfig.model_validate({"name": "x", "market": GENERATED, **settings})


def test_without_a_pool_every_contract_trains():
    assert config().market.training == ["A", "B"]
    assert config(market={**GENERATED, "pool": ["C"]}).market.training == ["C"]


@pytest.mark.parametrize("field", ["contracts", "pool"])
def test_a_contract_is_named_once(field):
    with pytest.raises(ValidationError, match=f"{field} names A twice"):
        config(market={**GENERATED, field: ["A", "A"]})


def test_ratios_need_har():
    with pytest.raises(ValidationError, match="opponents must include 'har'"):
        config(opponents=["ridge"])


def test_an_unknown_opponent_suggests_the_nearest():
    with pytest.raises(ValidationError, match="har_dow"):
        config(opponents=["har", "har_dw"])


def test_a_contract_that_the_folder_does_not_have_is_refused(tmp_path):
    (tmp_path / "binance-um" / "BTCUSDT").mkdir(parents=True)
    (tmp_path / "binance-um" / "BTCUSDT" / "1h.parquet").touch()
    settings = {"folder": str(tmp_path), "contracts": ["BTCUSD"]}
    with pytest.raises(ValueError, match="Did you mean 'BTCUSDT'"):
        config(market=settings).market.markets()


def test_a_scored_contract_needs_bars_in_the_span():
    with pytest.raises(ValueError, match="A has no bar in"):
        config(market={**GENERATED, "from": "2100-01-01"}).market.markets()
