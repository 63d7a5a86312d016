"""Questions on two months of history are answered as far as these reach, or refused in one line."""

import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.questions.question import fitting
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study


def run(tmp_path, **given):
    settings = {
        "name": "short", "market": {"seed": 3, "years": 0.17, "contracts": ["BTCUSDT"]}, "replications": 100,
        "output": str(tmp_path), "tracking": {"enabled": False}, **given,
    }  # fmt: skip
    return run_study(load_config(settings))


@pytest.mark.filterwarnings("error")
def test_funding_without_a_whole_calendar_month_has_no_share_of_months(tmp_path):
    # 48 days, none of them a whole calendar month; a position of 90 days does not fit
    given = {"seed": 3, "years": 0.17, "contracts": ["BTCUSDT"], "from": "2020-01-03", "to": "2020-02-20"}
    done = run(tmp_path, kind="funding_erosion", market=given, leverages=[3.0, 10.0], horizons=["7d", "90d"])
    tables = done.findings.tables
    assert tables["overall"].index.get_level_values("horizon").unique().tolist() == ["7d"]
    assert (tables["months"]["months"] == 0).all()
    assert tables["months"]["share"].isna().all()
    assert "nan" not in done.findings.line


def test_horizons_that_do_not_fit_are_left_out_and_none_is_refused():
    market = synthetic_market("market-b", seed=3, years=0.17)  # 62 days
    assert fitting(["7d", "30d", "90d"], market) == ["7d", "30d"]
    with pytest.raises(ValueError, match="positions held for 90d do not fit"):
        fitting(["90d"], market)


def test_methods_of_fixed_leverage_alone_have_nothing_to_compare(tmp_path):
    done = run(tmp_path, kind="methods", rules=["fixed_2x", "fixed_5x"], directions={"long": "long"})
    assert done.findings.tables["methods"].index.tolist() == ["fixed_2x", "fixed_5x"]
    assert done.findings.tables["comparison"].empty


def test_methods_compare_rules_on_two_months(tmp_path):
    rules = {
        "fixed_2x": "fixed_2x",
        "calm": {"rule": "inverse_variance", "column": "realized_volatility_24h"},
    }
    done = run(tmp_path, kind="methods", rules=rules, directions={"long": "long"}, shifts=3)
    assert done.findings.tables["comparison"].index.tolist() == ["calm"]
    assert np.isfinite(done.findings.tables["comparison"].loc["calm", "growth_same_leverage"])
