"""`gearing safest-leverage`: a table by appetite, what such promises came to, a check after a date, a figure, JSON."""

import json

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market
from typer.testing import CliRunner

from gearing.cli import app
from gearing.evaluation.risk.safest_table import budgets_of
from gearing.market import write_market


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.004, 24 * 500)))
        write_market(tiny_market(closes, contracts=[contract(symbol)]), place)
    return place


def run(*arguments):
    return CliRunner().invoke(app, ["safest-leverage", *map(str, arguments)])


def test_a_table_by_appetite_and_what_such_promises_came_to(folder, tmp_path):
    out, figure = tmp_path / "x.json", tmp_path / "x.png"
    given = [
        "--data",
        folder,
        "--budget",
        "5%",
        "--budget",
        "1%",
        "--horizon",
        "7d",
        "--horizon",
        "30d",
        "--side",
        "short",
    ]
    found = run("BTCUSDT", *given, "--check", "2025-01-01", "--json", out, "--figure", figure)
    assert found.exit_code == 0, found.output
    for part in ("1 %", "5 %", "refused", "data      ETHUSDT", "walking forward", "fitted before 2025-01-01"):
        assert part in found.output
    assert figure.read_bytes()[:4] == b"\x89PNG"
    written = json.loads(out.read_text())
    assert len(written["answers"]) == len(written["checks"]) == 2 * 2
    one = written["answers"][0]
    assert (one["contract"], one["side"], one["horizon"], one["budget"]) == ("BTCUSDT", "short", "7d", 0.01)
    assert one["low"] <= one["leverage"] <= one["high"]
    refused = [row for row in written["checks"] if row["refused"]]
    assert [(row["side"], row["horizon"], row["promised"]) for row in refused] == [("short", "30d", 0.01)]
    assert refused[0]["realised"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["BTCUSDT", "--budget", "much"], "write it as 5% or 0.05"),
        (["BTCUSDT", "--budget", "90%"], "from 0.001 to 0.5"),
        (["BTCUSDT", "--horizon", "90d"], "whole days from 1d to 30d"),
        (["BTCUSDT", "--at", "1999"], "2009"),
        (["BTCUSDT", "--check", "2030-01-01"], "Give an earlier date"),
        (["BTCUSD"], "Did you mean 'BTCUSDT'"),
        (["BTCUSDT", "--event", "loss"], "liquidation, drawdown"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(folder, arguments, message):
    found = run(*arguments, "--data", folder)
    assert isinstance(found.exception, ValueError)
    assert message in str(found.exception)


def test_an_unknown_side_is_refused(folder):
    found = run("BTCUSDT", "--data", folder, "--side", "up")
    assert found.exit_code == 2


def test_budgets_are_percent_or_fractions():
    assert budgets_of(["5%", "0.01", " 25% "]) == [0.01, 0.05, 0.25]
