"""Trades add up to the ledger, and the report is one file that needs nothing else."""

from html.parser import HTMLParser

import numpy as np
import pytest

import gearing
from gearing.evaluation.reports.figures import equity_figure
from gearing.evaluation.reports.report import growth_by_regime, html_report, page, yearly
from gearing.evaluation.reports.tables import controls_table, printed
from gearing.evaluation.reports.trades import trades
from gearing.policies.controls import StopLoss
from gearing.policies.rules import FixedLeverage, VolatilityWeighted


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def result(market):
    return gearing.backtest(
        FixedLeverage(8.0), market, direction="signal:momentum_side_7d", margin_share=0.3,
        controls=[StopLoss(distance=0.04)], name="8x <with> a stop",
    )  # fmt: skip


def test_trades_add_up_to_the_change_of_equity(result):
    rows = trades(result)
    assert rows.pnl.sum() == pytest.approx(result.equity[-1] - result.equity[0], abs=1e-6)
    np.testing.assert_allclose(rows[["price_pnl", "fees", "funding", "liquidation"]].sum(axis=1), rows.pnl)
    assert {"long", "short"} == set(rows.side)
    assert (rows.exit == "stop").sum() == result.ledgers.stops.sum()
    assert (rows.closed >= rows.opened).all()  # equal where a stop fires in the bar of the entry


def test_a_position_that_is_never_closed_is_one_open_trade(market):
    rows = trades(gearing.backtest(FixedLeverage(0.5), market))
    assert len(rows) == 1
    assert rows.exit.tolist() == ["open"]


def test_liquidations_end_trades(market):
    result = gearing.backtest(FixedLeverage(20.0), market, margin_share=0.1)
    rows = trades(result)
    assert (rows.exit == "liquidation").sum() == result.steps.liquidations.sum() > 0


class Addresses(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_is_one_file_that_needs_nothing_else(result, market, tmp_path):
    other = gearing.backtest(VolatilityWeighted(), market, margin_share=0.3, name="3x/8x")
    path = html_report(result, tmp_path / "report.html", others=[other], sections={"By year": yearly(other)})
    seen = Addresses()
    seen.feed(path.read_text(encoding="utf-8"))
    assert len(seen.found) == 1
    assert seen.found[0].startswith("data:image/png;base64,")
    for words in (
        "8x <with> a stop",
        "3x/8x",
        "Risk controls",
        "StopLoss",
        "Settings",
        "margin_share",
        "By year",
    ):
        assert words in seen.text


def test_a_ruined_account_is_said_to_be(market, tmp_path):
    ruined = gearing.backtest(FixedLeverage(50.0), market, max_leverage=50.0)
    assert "was ruined" in html_report(ruined, tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_sections_are_the_tables_of_the_same_settings(market):
    from gearing.evaluation.comparisons.scenarios import capacity
    from gearing.evaluation.reports.report import trader_sections
    from gearing.evaluation.reports.tables import PRINTED, printed

    policy, features = FixedLeverage(3.0), gearing.FeatureSet(["log_return"]).compute(market)
    done = gearing.backtest(policy, market, features, margin_share=0.3, direction="short")
    told = trader_sections(policy, market, features, done)
    regimes, laxer, stress, size = told.values()
    assert laxer.loc["as is", "log growth/y"] == printed(done.table)["log growth/y"].item()
    assert set(laxer.index) > {"no funding", "liquidated at closes only", "all of these"}
    assert {"funding x 3", "one bar late", "maintenance x 2"} < set(stress.index)
    alone = printed(capacity(policy, market, features, margin_share=0.3, direction="short"), PRINTED)
    assert size["log growth/y"].tolist() == alone["log growth/y"].tolist()
    assert sum(float(text[:-1]) for text in regimes["of the time"]) == pytest.approx(100.0, abs=0.6)


def test_the_report_says_what_was_played(result, market, tmp_path):
    page = html_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    reader = Addresses()
    reader.feed(page)
    for said in (
        "FixedLeverage(leverage=8.0)",  # the rule's parameters
        "binance-usdm, rules as of",
        "taker 0.0500%, maker 0.0200%",  # the fees that were paid
        market.fingerprint,
        f"gearing {gearing.__version__}, ",
    ):
        assert said in reader.text, said
    assert "None" not in reader.text.partition("Settings")[2]
    assert "-0%" not in reader.text
    assert "-0.0%" not in reader.text


def test_a_report_of_results_over_different_spans_says_so(result, market, tmp_path):
    later = gearing.backtest(FixedLeverage(1.0), market, "default", name="later")
    page = html_report(result, tmp_path / "report.html", others=[later]).read_text(encoding="utf-8")
    assert "The rows cover different spans" in page
    assert str(later.time[0].astype("datetime64[m]")) in page


def test_the_report_shows_growth_by_regime(result, market, tmp_path):
    sections = {"Growth by regime": printed(growth_by_regime(result, market))}
    sections["Growth by regime"]["one"] = "1"
    page = html_report(result, tmp_path / "report.html", sections=sections).read_text(encoding="utf-8")
    for name in ("volatility", "trend", "funding"):
        assert f'<th class="name">{name}</th>' in page  # what its rows are named by
    assert "longs pay" in page


def test_growth_in_the_regime_of_a_ruin_is_no_number(market):
    ruined = gearing.backtest(FixedLeverage(50.0), market, max_leverage=50.0)
    rows = growth_by_regime(ruined, market)
    assert ruined.ruined
    assert (rows.growth == "ruined").sum() == (rows.contribution == "ruined").sum() == 1
    assert rows.liquidations[rows.growth == "ruined"].item() > 0


def test_the_drawdown_of_rare_decisions_is_that_of_the_daily_closes(market):
    rare = gearing.backtest(FixedLeverage(1.0), market, decision_interval="7d")
    panel = page(rare).axes[1].collections[0].get_paths()[0].vertices
    worst = (1.0 - rare.path.equity / np.maximum.accumulate(rare.path.equity)).max()
    assert -panel[:, 1].min() == pytest.approx(worst)
    assert len(np.unique(panel[:, 0])) == len(rare.path.time)


def test_results_without_a_liquidation_leave_the_axes_their_room(market):
    quiet, ruined = (gearing.backtest(FixedLeverage(x), market, max_leverage=50.0) for x in (0.5, 50.0))
    assert not quiet.liquidation_times.size
    figure = equity_figure([quiet, ruined])
    figure.canvas.draw()
    heights = [axis.get_position().height for axis in figure.axes]
    assert sum(heights) > 0.7
    assert heights[0] / heights[2] == pytest.approx(2.0, rel=0.01)  # the ratio of 3 to 1.5


@pytest.mark.parametrize("figure", [lambda result: page(result), lambda result: equity_figure([result])])
def test_a_liquidation_that_leaves_nothing_has_its_dot(market, figure):
    ruined = gearing.backtest(FixedLeverage(50.0), market, max_leverage=50.0, ruin_fraction=0.0)
    top = figure(ruined).axes[0]
    low = top.get_ylim()[0]
    (dots,) = (line for line in top.lines if line.get_marker() == "o")
    assert len(dots.get_ydata()) == len(ruined.liquidation_times)
    assert (dots.get_ydata() >= low).all()


def test_controls_are_shown_by_the_settings_in_use_and_moments_that_were(market):
    quiet = gearing.backtest(FixedLeverage(0.1), market, controls=[StopLoss(margin=0.9)])
    (text,) = controls_table(quiet).index
    assert text == "StopLoss(margin=0.9, atr_column='atr_24h', watch_last=False)"
    assert controls_table(quiet)[["acted", "first", "last"]].iloc[0].tolist() == [0, "-", "-"]
    busy = gearing.backtest(FixedLeverage(8.0), market, controls=[StopLoss(distance=0.04)], margin_share=0.3)
    first = busy.control_report["first"].iloc[0]
    assert controls_table(busy)["first"].iloc[0] == f"{first:%Y-%m-%d %H:%M}"
