"""Which contracts are scored, and which fit the models of each."""

import numpy as np
import pytest
from pydantic import ValidationError

from gearing.studies.scored_market import ScoredMarket

GENERATED = {"generator": "market-b", "contracts": ["A", "B"], "years": 0.1}


def market(**settings):
    return ScoredMarket.model_validate({**GENERATED, **settings})


@pytest.fixture
def folder(tmp_path):
    """Three contracts with hourly bars, one with a mark alone."""
    for symbol in ("AAA", "BBB", "CCC", "DDD"):
        (tmp_path / "binance-um" / symbol).mkdir(parents=True)
        name = "mark-1h.parquet" if symbol == "DDD" else "1h.parquet"
        (tmp_path / "binance-um" / symbol / name).touch()
    return tmp_path


def of_folder(folder, **settings):
    return ScoredMarket.model_validate({"folder": str(folder), **settings})


def test_the_pool_is_by_default_what_else_the_folder_has(folder):
    assert of_folder(folder, contracts=["AAA"]).pool_of("AAA") == ["BBB", "CCC"]
    two = of_folder(folder, contracts=["AAA", "BBB"])
    assert two.pool_of("AAA") == two.pool_of("BBB") == ["CCC"]


def test_where_all_are_scored_each_is_left_out_of_its_own_pool(folder):
    everything = of_folder(folder)
    assert everything.scored == ["AAA", "BBB", "CCC"]
    assert everything.pool_of("BBB") == ["AAA", "CCC"]


def test_a_pool_that_is_named_leaves_the_scored_contract_out(folder):
    named = of_folder(folder, contracts=["AAA", "BBB"], pool=["AAA", "CCC"])
    assert (named.pool_of("AAA"), named.pool_of("BBB")) == (["CCC"], ["AAA", "CCC"])
    assert of_folder(folder, contracts=["AAA"], pool=["all"]).pool_of("AAA") == ["BBB", "CCC"]


@pytest.mark.parametrize("field", ["contracts", "pool"])
def test_a_contract_is_named_once(field):
    with pytest.raises(ValidationError, match=f"{field} names A twice"):
        market(**{field: ["A", "A"]})


@pytest.mark.parametrize("field", ["contracts", "pool"])
def test_a_contract_without_bars_in_the_folder_is_refused_with_the_nearest(folder, field):
    with pytest.raises(ValueError, match=r"1h is named 'BBC'\. Did you mean 'BBB'"):
        of_folder(folder, **{"contracts": ["AAA"], field: ["BBC"]}).markets()
    with pytest.raises(ValueError, match="divide 1h is named 'DDD'"):
        of_folder(folder, **{"contracts": ["AAA"], field: ["DDD"]}).markets()


def test_a_scored_contract_needs_bars_in_the_span():
    with pytest.raises(ValueError, match="A has no bar in"):
        market(**{"from": "2100-01-01"}).markets()


def test_scoring_begins_before_the_last_bar():
    markets = market().markets()
    end = str(np.datetime_as_string(markets["A"].close_time[-1]))
    with pytest.raises(ValueError, match=f"score_from is {end}, but the bars of A, B end at"):
        market().check_score_from(end, markets)
    market().check_score_from("2000-01-01", markets)
    market().check_score_from(None, markets)
