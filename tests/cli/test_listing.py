"""Names that settings may use are listed with their parameters, a user's own among them."""

import json
import sys

import pytest
from tests.fuzz.mutations import run_command

from gearing.features.feature import forget_feature

FEATURE = """\
from gearing.features import feature


@feature(unit="log", lower=-1.0, upper=1.0, lookback="0h", source="mine")
def listed_of_mine(market):
    \"\"\"Nothing but a test.\"\"\"
    return market.close
"""


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("rules", "volatility_weighted  low=3.0 high=8.0"), ("controls", "stop_loss"), ("features", "log_return"),
        ("forecasters", "har_dow"), ("rewards", "differential_sharpe  rate=0.01"), ("actions", "leverage"),
        ("venues", "bybit"), ("markets", "market-b"), ("kinds", "regret"),
    ],
)  # fmt: skip
def test_names_are_listed_with_their_parameters(what, name):
    code, listed, _ = run_command(["list", what])
    assert code == 0
    assert name in listed


def test_a_list_that_does_not_exist_is_refused_with_the_nearest():
    code, _, message = run_command(["list", "rulez"])
    assert code == 2
    assert message == "error: `gearing list` knows no 'rulez'. Did you mean 'rules'?\n"


def test_names_of_a_plugin_are_listed_and_written_as_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # a plugin's folder is added to it
    (tmp_path / "plugin_listed.py").write_text(FEATURE)
    code, listed, _ = run_command(
        ["list", "features", "--plugins", "plugin_listed.py", "--json", "list.json"]
    )
    assert code == 0
    assert "listed_of_mine\n    Nothing but a test.\n" in listed
    assert (
        json.loads((tmp_path / "list.json").read_text())["listed_of_mine"]["about"] == "Nothing but a test."
    )
    forget_feature("listed_of_mine")
