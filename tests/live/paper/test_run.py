import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from tests.export import cases as export_cases
from tests.kills.processes import returned
from tests.live.paper import cases

from gearing.evaluation.backtesting import backtest
from gearing.export.live.journal import JournalError
from gearing.live.paper.bars import Feed, Recorded, from_files, from_market
from gearing.live.paper.clock import Running
from gearing.live.paper.report import ledger, shadow, summary, write_reports
from gearing.live.paper.run import PaperError, paper_account
from gearing.policies.controls import StopLoss
from gearing.policies.rules import FixedLeverage
from gearing.simulation import SimulationConfig

DAY = np.timedelta64(24, "h")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return cases.bundle(tmp_path_factory.mktemp("paper") / "bundle")


def settings_of(config):
    return {
        name: getattr(config, name) for name in ("max_leverage", "margin_share", "controls", "settlement")
    }


@pytest.mark.parametrize(
    ("leverage", "config"),
    [
        (4.0, export_cases.SMALL),
        (30.0, SimulationConfig(max_leverage=40.0, margin_share=0.3, start="first")),  # is liquidated
        (9.0, SimulationConfig(max_leverage=10.0, start="first", controls=(StopLoss(distance=0.03),))),
    ],
)
def test_a_paper_account_holds_what_a_backtest_of_the_same_bars_holds_to_the_last_bit(
    leverage, config, tmp_path
):
    rule = FixedLeverage(leverage)
    run = cases.run_to_end(cases.bundle(tmp_path / "bundle", rule, config), tmp_path / "paper")
    expected = backtest(rule, cases.market(), **settings_of(config)).ledger
    found = ledger(run)
    assert len(found) == 24
    expected = expected.iloc[: len(found)]
    observed = "effective_leverage"  # in single precision
    pd.testing.assert_frame_equal(
        found.drop(columns=observed), expected.drop(columns=observed), check_exact=True, check_dtype=False
    )
    np.testing.assert_allclose(found[observed], expected[observed], rtol=1e-6)
    if leverage == 30.0:
        assert found["liquidations"].sum() > 0
    assert (config.controls != ()) == (found["stops"].sum() > 0)


def test_a_run_that_is_continued_is_the_run_that_was_not_stopped(bundle, tmp_path):
    middle = cases.market().open_time[24 * 12]
    cases.run_to_end(bundle, tmp_path / "paper", end=middle)
    again = cases.run_to_end(bundle, tmp_path / "paper")
    whole = cases.run_to_end(bundle, tmp_path / "whole")
    pd.testing.assert_frame_equal(ledger(again), ledger(whole), check_exact=True)
    assert [line["time"] for line in again.decisions] == [line["time"] for line in whole.decisions]


def test_a_finished_run_decides_nothing_twice(bundle, tmp_path):
    first = cases.run_to_end(bundle, tmp_path / "paper")
    again = cases.run_to_end(bundle, tmp_path / "paper")
    assert again.decisions == first.decisions


def spiked(part, row, factor):
    """The market's bars with one close that is wrong."""
    recorded = from_market(part)
    bars = recorded.bars.copy()
    for name in ("close", "high"):
        bars.loc[row, name] *= factor
    return Recorded(bars, recorded.funding)


def test_a_refused_decision_holds_the_position_and_the_shadow_report_shows_what_it_cost(bundle, tmp_path):
    row = 24 * 10 - 1  # the last bar before the decision of the eleventh day
    recorded = spiked(cases.market(), row, 1.8)
    run = cases.run_to_end(bundle, tmp_path / "paper", Feed(lambda: recorded))
    refused = [line for line in run.decisions if line["paper"]["refused"]]
    moment = cases.market().close_time[row]
    # The wrong close is a jump at its own decision, and the next bar's prices are one from it at the next.
    assert [np.datetime64(line["time"], "ms") for line in refused] == [moment, moment + DAY]
    assert "standard deviations" in refused[0]["paper"]["refused"]
    table = shadow(run).set_index("time")
    assert math.isnan(table.loc[moment, "paper_target"])
    assert table.loc[moment, "simulated_target"] == 4.0
    assert (table["difference"][:moment].iloc[:-1] == 0.0).all()
    parted = table.loc[moment]
    assert parted["difference"] == parted["paper_leverage"] - parted["simulated_leverage"]
    assert summary(run)["refused"] == 2


def test_decisions_that_fell_due_while_the_process_was_away_are_missed_not_made_up(bundle, tmp_path):
    start = cases.market().open_time[24 * 10]
    cases.run_to_end(bundle, tmp_path / "paper", end=start)
    seconds = [0.0]
    late = Running(
        start + 2 * DAY + np.timedelta64(30, "m"),
        read=lambda: seconds[0],
        sleep=lambda s: seconds.__setitem__(0, seconds[0] + s),
    )
    run = cases.run_to_end(bundle, tmp_path / "paper", clock=late, end=start + 4 * DAY)
    found = {line["time"]: line["paper"]["refused"] for line in run.decisions[-4:]}
    missed = [reason is not None and reason.startswith("missed") for reason in found.values()]
    assert missed == [True, True, False, False]  # 10, 11: over; 12: half an hour late, in time; 13
    assert run.decisions[-3]["simulated"]["refused"] is None
    assert summary(run)["missed"] == 2


def test_time_at_a_thousand_times_its_speed_takes_a_thousandth():
    seconds = [5.0]
    slept = []

    def sleep(length):
        slept.append(length)
        seconds[0] += length

    clock = Running(np.datetime64("2024-01-01", "ms"), 1000.0, lambda: seconds[0], sleep)
    clock.wait(np.datetime64("2024-01-02", "ms"))
    assert sum(slept) == pytest.approx(86.4)
    assert max(slept) <= 60.0
    assert clock.now() >= np.datetime64("2024-01-02", "ms")


# ------------------------------------------------------------------------------------------------- what is refused


def test_the_journal_of_another_bundle_is_refused(bundle, tmp_path):
    cases.run_to_end(bundle, tmp_path / "paper", end=cases.market().open_time[72])
    other = cases.bundle(tmp_path / "other", FixedLeverage(2.0))
    with pytest.raises(PaperError, match="another bundle"):
        cases.run_to_end(other, tmp_path / "paper")


def test_another_equity_is_refused(bundle, tmp_path):
    with paper_account(bundle, tmp_path / "paper", 5_000.0) as run:
        assert run.accounts.accounts.equity.tolist() == [5_000.0, 5_000.0]
    with pytest.raises(PaperError, match=re.escape("began with an equity of 5,000.00, given 6,000.00")):
        paper_account(bundle, tmp_path / "paper", 6_000.0).__enter__()


def test_two_processes_do_not_share_a_folder(bundle, tmp_path):
    def other():
        try:
            with paper_account(bundle, tmp_path / "paper"):
                return "opened"
        except JournalError as error:
            return str(error)

    with paper_account(bundle, tmp_path / "paper"):
        assert "open in another process" in returned(other)


def test_a_changed_line_of_the_journal_is_named(bundle, tmp_path):
    cases.run_to_end(bundle, tmp_path / "paper", end=cases.market().open_time[120])
    path = tmp_path / "paper" / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace('"close":[', '"close":[1', 1)
    path.write_text("".join(lines))
    with pytest.raises(JournalError, match=re.escape("line 4 was changed")):
        cases.run_to_end(bundle, tmp_path / "paper")


def test_a_torn_line_is_set_aside_and_the_run_goes_on(bundle, tmp_path):
    cases.run_to_end(bundle, tmp_path / "paper", end=cases.market().open_time[120])
    path = tmp_path / "paper" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    run = cases.run_to_end(bundle, tmp_path / "paper")
    whole = cases.run_to_end(bundle, tmp_path / "whole")
    pd.testing.assert_frame_equal(ledger(run), ledger(whole), check_exact=True)


def test_a_gap_in_the_bars_is_named(bundle, tmp_path):
    recorded = from_market(cases.market())
    holed = Recorded(recorded.bars.drop(index=[300, 301]), recorded.funding)
    lost = cases.market().open_time[300]
    with pytest.raises(PaperError, match=f"2 missing, the first at {lost}"):
        cases.run_to_end(bundle, tmp_path / "paper", Feed(lambda: holed))
    whole = cases.run_to_end(bundle, tmp_path / "paper")  # with them it goes on
    assert len(whole.decisions) == 25


def test_bars_of_files_are_those_of_the_market(tmp_path):
    part = cases.market()
    export_cases.bar_table(part).to_csv(tmp_path / "bars.csv", index=False)
    export_cases.funding_table(part).to_csv(tmp_path / "funding.csv", index=False)
    found = from_files(tmp_path / "bars.csv", tmp_path / "funding.csv", part.symbols)
    expected = from_market(part)
    for name in ("open_time", "open", "mark_low", "volume"):
        np.testing.assert_array_equal(found.bars[name], expected.bars[name])
    np.testing.assert_array_equal(found.funding["rate"], expected.funding["rate"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="volume"), "no column volume"),
        (lambda t: t.assign(contract="DOGE"), "contract 'DOGE' is not in the bundle"),
        (lambda t: pd.concat([t, t.iloc[[5]]]), "is repeated"),
        (lambda t: t.assign(close=["much", *t["close"][1:]]), "close"),
    ],
)
def test_unusable_bars_are_refused_by_file(change, message, tmp_path):
    path = tmp_path / "bars.csv"
    change(export_cases.bar_table(cases.market()).astype(object)).to_csv(path, index=False)
    with pytest.raises(ValueError, match=message) as caught:
        from_files(path, None, cases.market().symbols)
    assert str(path) in str(caught.value)


def test_the_journal_gives_numbers_back_exactly():
    recorded = from_market(cases.market()).between(cases.market().open_time[0], cases.market().open_time[30])
    again = Recorded.from_plain(json.loads(json.dumps(recorded.to_plain())))
    pd.testing.assert_frame_equal(again.bars, recorded.bars, check_exact=True, check_dtype=False)
    assert again.bars["close"].tolist() == recorded.bars["close"].tolist()


def test_reports_are_written(bundle, tmp_path):
    run = cases.run_to_end(bundle, tmp_path / "paper")
    write_reports(run, tmp_path / "paper")
    written = pd.read_csv(tmp_path / "paper" / "ledger.csv")
    assert written["equity"].tolist() == ledger(run)["equity"].tolist()
    account = json.loads((tmp_path / "paper" / "account.json").read_text())
    assert account == run.accounts.as_account(0)
    assert len(pd.read_csv(tmp_path / "paper" / "shadow.csv")) == len(written)
