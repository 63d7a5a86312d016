"""What a paper account did, written as its venue writes it, is what the exchange rules say."""

import json

import pytest
from tests.export import cases as export_cases
from tests.live.paper import cases

from gearing.evaluation.reconcile.files import reconcile_files
from gearing.live.paper.bars import Feed, Recorded, from_market
from gearing.live.paper.run import PaperError, paper_account
from gearing.live.paper.statement import write_statement
from gearing.policies.controls import StopLoss
from gearing.policies.rules import FixedLeverage
from gearing.simulation import SimulationConfig

VENUES = ("binance-usdm", "bybit", "okx")


def written(folder, venue, leverage, controls=(), direction="long"):
    """Files of a paper account, and what `gearing reconcile` is given with them."""
    config = SimulationConfig(
        max_leverage=40.0,
        margin_share=0.3,
        venue=venue,
        start="first",
        controls=controls,
        direction=direction,
    )
    part = cases.market(14)
    chosen = cases.bundle(folder / "bundle", FixedLeverage(leverage), config, part)
    run = cases.run_to_end(chosen, folder / "paper", cases.feed(part))
    return run, write_statement(run, folder / "statement")


def reconciled(paths, venue):
    records = [path for path in paths if path.name not in ("contracts.json", "settlements.csv")]
    where = paths[0].parent
    return reconcile_files(
        records, venue, contracts=where / "contracts.json", funding=where / "settlements.csv"
    )


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("leverage", "controls"),
    [(3.0, ()), (30.0, ()), (12.0, (StopLoss(distance=0.02),))],
    ids=["held", "liquidated", "stopped"],
)
def test_a_statement_of_the_paper_account_reconciles_without_a_difference(
    venue, leverage, controls, tmp_path
):
    run, paths = written(tmp_path, venue, leverage, controls)
    found = reconciled(paths, venue)
    assert found.differences.empty, str(found)
    assert found.checked > 150
    ledgers = [one["ledgers"][0] for one in run.intervals]
    assert (sum(int(one["liquidations"].sum()) for one in ledgers) > 0) == (leverage == 30.0)
    assert (sum(int(one["stops"].sum()) for one in ledgers) > 0) == bool(controls)
    # Binance's clearance of a liquidation has a rate that no record prints; all else is checked.
    assert all("clearance" in str(reason) for reason in found.unchecked)


def test_a_short_account_reconciles(tmp_path):
    _, paths = written(tmp_path, "okx", 5.0, direction="short")
    found = reconciled(paths, "okx")
    assert found.differences.empty, str(found)


def test_a_changed_fill_is_found(tmp_path):
    _, paths = written(tmp_path, "bybit", 3.0)
    path = next(path for path in paths if path.name == "executions.json")
    values = json.loads(path.read_text())
    fill = next(row for row in values["result"]["list"] if row["execType"] == "Trade")
    fill["execFee"] = str(float(fill["execFee"]) * 1.01)
    path.write_text(json.dumps(values))
    assert not reconciled(paths, "bybit").differences.empty


def test_a_venue_whose_records_are_not_known_is_refused(tmp_path):
    config = SimulationConfig(max_leverage=10.0, venue="hyperliquid", start="first")
    bars = from_market(cases.market(5)).bars  # of another venue, whose settlements are not hourly
    chosen = cases.bundle(tmp_path / "b", None, config, cases.market(5))
    run = cases.run_to_end(chosen, tmp_path / "p", Feed(lambda: Recorded(bars, None)))
    with pytest.raises(PaperError, match="hyperliquid is not written"):
        write_statement(run, tmp_path / "s")


def test_an_account_without_an_interval_has_no_statement(tmp_path):
    with (
        paper_account(cases.bundle(tmp_path / "b", None, export_cases.SMALL), tmp_path / "p") as run,
        pytest.raises(PaperError, match="no whole decision interval"),
    ):
        write_statement(run, tmp_path / "s")
