import json

import pytest
from tests.export import cases as export_cases
from tests.live.paper import cases

from gearing.cli import run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder, part = tmp_path_factory.mktemp("inputs"), cases.market(8)
    export_cases.small_bundle(folder / "bundle", part=part)
    export_cases.bar_table(part).to_csv(folder / "bars.csv", index=False)
    export_cases.funding_table(part).to_csv(folder / "funding.csv", index=False)
    return folder


def paper(inputs, folder, *more):
    bars = ["--bars", str(inputs / "bars.csv"), "--funding", str(inputs / "funding.csv")]
    return run(["paper", str(inputs / "bundle"), *bars, "--folder", str(folder), *more])


def test_paper_runs_continues_and_writes_a_statement_that_reconciles(inputs, tmp_path, capsys):
    assert paper(inputs, tmp_path / "p", "--until", "2020-01-05") == 0
    assert "3 decisions" in capsys.readouterr().out
    statement, found = tmp_path / "s", tmp_path / "found.json"
    assert paper(inputs, tmp_path / "p", "--statement", str(statement), "--json", str(found)) == 0
    printed = capsys.readouterr().out
    assert "continued" in printed
    assert "8 decisions, 0 of them refused" in printed
    assert json.loads(found.read_text())["decisions"] == 8
    files = [str(statement / f"{name}.json") for name in ("userTrades", "income", "positionRisk")]
    more = ["--contracts", str(statement / "contracts.json"), "--funding", str(statement / "settlements.csv")]
    assert run(["reconcile", *files, *more]) == 0
    assert "0 differ, 0 not checked" in capsys.readouterr().out


def test_paper_at_a_speed_prints_each_decision(inputs, tmp_path, capsys):
    assert paper(inputs, tmp_path / "p", "--speed", "100", "--until", "2020-01-03") == 0
    assert "2020-01-02T00:00Z  BTC-SYN +1.00x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--live"], "give one of --bars, --data and --live"),
        (["--from", "2025-01-01"], "the bars hold no decision"),
        (["--from", "soon"], "--from: 'soon'"),
        (["--equity", "0"], "--equity"),
    ],
)
def test_paper_refuses_in_one_line(inputs, tmp_path, capsys, arguments, message):
    assert paper(inputs, tmp_path / "p", *arguments) == 2
    answer = capsys.readouterr().err
    assert message in answer
    assert "Traceback" not in answer


def test_paper_without_bars_says_where_they_come_from(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GEARING_DATA", raising=False)
    assert run(["paper", str(inputs / "bundle"), "--folder", str(tmp_path / "p")]) == 2
    assert "no data folder" in capsys.readouterr().err


def test_live_bars_of_another_venue_are_refused(tmp_path, capsys):
    from gearing.simulation import SimulationConfig

    config = SimulationConfig(max_leverage=10.0, venue="hyperliquid", start="first")
    export_cases.small_bundle(tmp_path / "b", config=config, part=cases.market(8))
    assert run(["paper", str(tmp_path / "b"), "--live", "--folder", str(tmp_path / "p")]) == 2
    assert "live bars of hyperliquid are not read" in capsys.readouterr().err


def test_every_command_checks_jumps_and_ranges_with_the_limits_of_a_bundle():
    from gearing.cli.shared import JUMP, OUTSIDE
    from gearing.export.__main__ import parser
    from gearing.export.deciding.settings import MAX_OUTSIDE
    from gearing.export.reading.jumps import MAX_JUMP

    assert (float(JUMP), float(OUTSIDE)) == (MAX_JUMP, MAX_OUTSIDE)
    given = parser().parse_args(["b", "--bars", "b", "--account", "a"])
    assert (float(given.max_jump), float(given.max_outside)) == (MAX_JUMP, MAX_OUTSIDE)
