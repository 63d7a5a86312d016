import json
import math

import numpy as np
import pytest
from tests.export import cases as export_cases

from gearing.cli import run
from gearing.export.runtime import BundleError, Limits, Session, load_bundle
from gearing.live.watching import Thresholds, log_distance, touch_probability, watch

PART = export_cases.market().rows(0, 24 * 20)
BARS, FUNDING = export_cases.bar_table(PART), export_cases.funding_table(PART)
NOW = str(PART.close_time[-1])
MARK = float(PART.mark_close[-1, 0])
FLAT = {"wallet_balance": 10_000.0, "positions": {}}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch") / "bundle"
    export_cases.small_bundle(folder, part=PART)
    return load_bundle(folder)


def held(leverage, side=1.0, wallet=10_000.0, entry=MARK):
    """An account with an isolated position of one times its wallet, at a leverage."""
    quantity = round(side * wallet / entry, 3)
    margin = abs(quantity) * entry / leverage
    one = {"quantity": quantity, "entry_price": entry, "leverage": leverage, "margin": margin}
    return {"wallet_balance": wallet, "positions": {"BTC-SYN": one}}


def of(found, what):
    return next(one for one in found.findings if one.what == what)


def test_a_price_without_drift_touches_a_level_with_twice_the_probability_of_ending_beyond_it():
    # Two deviations away: 2 (1 - Phi(2)) = 2 x 0.022750 = 0.0455003.
    down = 1.0 - math.exp(-0.08)
    assert log_distance(down, True) == pytest.approx(0.08)
    assert touch_probability(down, 0.04, True) == pytest.approx(0.0455003, abs=1e-6)
    assert touch_probability(math.expm1(0.08), 0.04, False) == pytest.approx(0.0455003, abs=1e-6)
    assert touch_probability(0.0, 0.04, True) == 1.0
    assert touch_probability(1.0, 0.04, True) == 0.0


def test_the_probability_is_that_of_simulated_prices():
    rng = np.random.default_rng(1)
    paths = np.cumsum(rng.normal(0.0, 0.05 / math.sqrt(4_000), (4_000, 4_000)), axis=1)
    touched = (paths.min(axis=1) <= -0.06).mean()
    assert touch_probability(1.0 - math.exp(-0.06), 0.05, True) == pytest.approx(touched, abs=0.02)


def test_a_flat_account_has_nothing_to_warn_of(bundle):
    found = watch(bundle, FLAT, BARS, FUNDING, now=NOW)
    assert (found.level, found.exit_code) == ("ok", 0)
    assert [one.what for one in found.findings] == ["data", "liquidation", "funding"]


def test_the_distance_is_in_deviations_of_a_day(bundle):
    found = of(watch(bundle, held(5.0), BARS, FUNDING, now=NOW), "liquidation").values
    closes = PART.close[-169:, 0]
    deviation = np.diff(np.log(closes)).std() * math.sqrt(24.0)  # of the last week of hourly bars
    assert found["daily_volatility"] == pytest.approx(deviation)
    assert found["deviations"] == pytest.approx(-math.log1p(-found["distance"]) / deviation)
    # 20 % of margin, 0.4 % of it maintenance: (1 - d)(1 - 0.004) = 0.8 at the liquidation price.
    assert found["distance"] == pytest.approx(1.0 - 0.8 / 0.996, abs=1e-3)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("leverage", "level"), [(1.5, "ok"), (10.0, "warning"), (40.0, "critical")])
def test_the_nearer_liquidation_the_louder(bundle, leverage, level, side):
    thresholds = Thresholds(deviations=5.0, probability=0.02)
    found = watch(bundle, held(leverage, side), BARS, FUNDING, now=NOW, thresholds=thresholds)
    assert of(found, "liquidation").level == level
    assert found.exit_code == {"ok": 0, "warning": 1, "critical": 4}[level]


def test_an_account_in_liquidation_is_critical_not_an_error(bundle):
    found = watch(bundle, held(20.0, entry=MARK * 1.06), BARS, FUNDING, now=NOW)
    assert found.exit_code == 4
    assert "in liquidation" in of(found, "liquidation").text


def test_funding_is_announced_an_hour_before_it_is_paid(bundle):
    dear = FUNDING.assign(rate=0.002)
    early = watch(bundle, held(2.0), BARS, dear, now=NOW)  # midnight: eight hours before
    assert of(early, "funding").level == "ok"
    late = watch(bundle, held(2.0), BARS, dear, now=NOW.replace("00:00:00", "07:30:00"), max_age="9h")
    funding = of(late, "funding")
    assert funding.level == "warning"
    quantity = held(2.0)["positions"]["BTC-SYN"]["quantity"]
    assert funding.values["payment"] == pytest.approx(0.002 * quantity * MARK)  # a long pays a positive rate
    short = watch(bundle, held(2.0, -1.0), BARS, dear, now=NOW.replace("00:00:00", "07:30:00"), max_age="9h")
    assert of(short, "funding").level == "ok"
    assert "receives" in of(short, "funding").text


def test_old_bars_are_critical(bundle):
    found = watch(bundle, held(2.0), BARS, FUNDING, now=NOW.replace("00:00:00", "05:00:00"))
    assert of(found, "data").level == "critical"
    assert of(found, "data").values["refusals"] == ["stale"]
    assert of(found, "liquidation").values["distance"] > 0.4  # of what is known


def test_limits_that_are_used_up_are_named(bundle):
    account = {**held(2.0), "peak_equity": 12_000.0}
    limits = Limits(drawdown=0.2, leverage=1.1, notional=20_000.0)
    found = watch(bundle, account, BARS, FUNDING, now=NOW, limits=limits)
    budgets = {one.values["limit"]: one for one in found.findings if one.what == "budget"}
    assert set(budgets) == {"drawdown", "leverage", "notional"}
    assert budgets["drawdown"].values["used"] == pytest.approx((1.0 - 10 / 12) / 0.2)  # 83 %
    levels = {name: one.level for name, one in budgets.items()}
    assert levels == {"drawdown": "warning", "leverage": "warning", "notional": "ok"}


def test_the_state_of_a_session_is_part_of_it(bundle, tmp_path):
    with Session(bundle, tmp_path, limits={"drawdown": 0.5}) as session:
        session.decide(BARS, FLAT, FUNDING, now=NOW)
        found = watch(bundle, FLAT, BARS, FUNDING, now=NOW, session=tmp_path)
        assert of(found, "session").values["state"] == "ACTIVE"
        assert of(found, "budget").values["most"] == 0.5
        session.halt("Ada", "a test")
    found = watch(bundle, FLAT, BARS, FUNDING, now=NOW, session=tmp_path)
    assert (of(found, "session").level, found.exit_code) == ("critical", 4)


def test_unknown_is_not_flat(bundle):
    with pytest.raises(BundleError, match="unknown is not flat"):
        watch(bundle, {"wallet_balance": 1e4}, BARS, FUNDING, now=NOW)
    with pytest.raises(BundleError, match="give the moment"):
        watch(bundle, FLAT, BARS, FUNDING, now="last-bar")


def test_the_command_exits_by_what_it_finds(bundle, tmp_path, capsys):
    BARS.to_csv(tmp_path / "bars.csv", index=False)
    FUNDING.to_csv(tmp_path / "funding.csv", index=False)
    arguments = ["watch", str(bundle.folder), "--bars", str(tmp_path / "bars.csv"), "--now", NOW]
    arguments += ["--funding", str(tmp_path / "funding.csv"), "--account", str(tmp_path / "account.json")]
    for account, code in ((FLAT, 0), (held(40.0), 4)):
        (tmp_path / "account.json").write_text(json.dumps(account))
        assert run([*arguments, "--json", str(tmp_path / "found.json")]) == code
        assert "liquidation" in capsys.readouterr().out
        found = json.loads((tmp_path / "found.json").read_text())
        assert found["level"] == ("ok" if code == 0 else "critical")
    (tmp_path / "account.json").write_text("{}")
    assert run(arguments) == 2
    assert run([*arguments, "--limit", "drawdown"]) == 2
    assert "write NAME=NUMBER" in capsys.readouterr().err
