"""Damaged arguments end in a result, or in one message with an exit code that the documentation has."""

import json

import pytest
from hypothesis import given, strategies as st
from tests.fuzz.mutations import (
    expect_result_or_message,
    fuzz,
    mutated_arguments,
    mutated_bytes,
    run_command,
)

SHORT = "market.years=0.02"  # stands last, so that no other length is generated
CHEAP = [
    ["show", "study.yaml", "seeds=2", "market.years=1", "--plugins", "own.py"],
    ["list", "rules", "--json", "list.json"],
    ["compare", "folder", "--json", "x.json"],
    ["export", "folder", "--agent", "ppo"],
    ["decide", "folder", "--bars", "bars.csv", "--account", "account.json", "--now", "2024-01-01"],
    ["reconcile", "fills.json", "--venue", "bybit", "--fee-level", "VIP1"],
    ["data", "check", "folder", "--symbol", "BTCUSDT", "--json", "check.json"],
]
BACKTEST = ["volatility_target", "target=0.5", "column=realized_volatility_24h", "decision.margin_share=0.1",
            "controls=[{control: stop_loss, margin: 0.3}]", "exchange.venue=bybit", "--json", "row.json"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a file of every kind that the commands read."""
    folder = tmp_path_factory.mktemp("arguments") / "a" / "b" / "c"
    (folder / "folder").mkdir(parents=True)
    (folder / "study.yaml").write_text("# What survives?\nrules: [fixed_3x]\n")
    (folder / "own.py").write_text("")
    (folder / "bars.csv").write_text("open_time,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n")
    (folder / "account.json").write_text('{"balance": 1000}')
    (folder / "fills.json").write_text(json.dumps([]))
    return folder


@pytest.fixture(autouse=True)
def quiet(folder, monkeypatch):
    """Commands run in that folder, and know of no data but what they are given."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GEARING_DATA", raising=False)


@given(arguments=st.sampled_from(CHEAP).flatmap(mutated_arguments))
@fuzz(inputs=40)
def test_damaged_arguments_end_in_a_result_or_one_message(arguments):
    expect_result_or_message(arguments)


@given(arguments=mutated_arguments(BACKTEST))
@fuzz(inputs=10)
def test_damaged_arguments_of_a_backtest_end_in_a_result_or_one_message(arguments):
    expect_result_or_message(["backtest", *arguments, SHORT])


@given(raw=mutated_bytes(b"# What survives?\nrules: {a: {rule: fixed, leverage: 3}}\n"))
@fuzz(inputs=20)
def test_a_damaged_file_is_named_by_the_command(folder, raw):
    path = folder / "damaged.yaml"
    path.write_bytes(raw)
    expect_result_or_message(["show", "damaged.yaml"], [path])


@pytest.mark.slow
def test_thousands_of_damaged_arguments_end_in_a_result_or_one_message():
    @given(arguments=st.sampled_from(CHEAP).flatmap(lambda given: mutated_arguments(given, changes=3)))
    @fuzz(inputs=3000)
    def cheap(arguments):
        expect_result_or_message(arguments)

    @given(arguments=mutated_arguments(BACKTEST, changes=3))
    @fuzz(inputs=500)
    def backtests(arguments):
        expect_result_or_message(["backtest", *arguments, SHORT])

    cheap()
    backtests()


@pytest.mark.parametrize("arguments", CHEAP)
def test_the_arguments_without_damage_are_understood(arguments):
    code, _, messages = run_command(arguments)
    assert code in (0, 1, 2)
    assert "--help" not in messages  # which ends what is wrong with the arguments themselves
