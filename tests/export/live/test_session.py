"""Sessions: real failures of other systems, one test each, and states, limits and the log."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from tests.export import cases

from gearing.export import BundleError, Decision, load_bundle
from gearing.export.live.journal import JournalError
from gearing.export.live.limits import Limits, State
from gearing.export.live.replay import replay
from gearing.export.live.session import Session
from gearing.policies.controls import StopLoss
from gearing.policies.rules import FixedLeverage

BARS = cases.bar_table(cases.market())
DUE = np.datetime64("2020-10-20T00:00", "ms")
DAY = np.timedelta64(86_400_000, "ms")
FLAT = {"wallet_balance": 10_000.0, "positions": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cases.small_bundle(tmp_path_factory.mktemp("bundles") / "fixed")


@pytest.fixture
def bundle(folder):
    return load_bundle(folder)


def bars_at(now):
    return BARS[BARS.open_time < now].tail(60)


def price_at(now):
    return float(bars_at(now).close.iloc[-1])


def account(quantity, now, wallet=10_000.0, leverage=4.0, margin=None):
    """An account with a position at the price of a moment."""
    price = price_at(now)
    margin = abs(quantity) * price / leverage if margin is None else margin
    return {
        "wallet_balance": wallet,
        "positions": {
            "BTC-SYN": {"quantity": quantity, "entry_price": price, "leverage": leverage, "margin": margin}
        },
    }


def decide(session, given, now=DUE, **options):
    return session.decide(bars_at(now), given, now=now, **options)


# ------------------------------------------------------------------------------------ real failures of other systems


@pytest.mark.parametrize(
    "given",
    [{}, None, {"wallet_balance": 10_000.0}, {"positions": {}}, {"code": -1003, "msg": "Too many requests"}],
)
def test_an_outage_is_not_read_as_flat(bundle, tmp_path, given):
    # TorchTrade #270, #296: an outage was read as "flat", and the bot bought again at 20x on every bar.
    with Session(bundle, tmp_path, fallback="flat") as session:
        with pytest.raises(BundleError):
            decide(session, given)
        assert [record["kind"] for record in session.journal.records] == ["begin", "unreadable"]
        assert decide(session, FLAT).orders[0].side == "buy"


def test_a_liquidation_behind_the_agents_back_is_seen_and_a_person_resumes(bundle, tmp_path):
    # TorchTrade #245, #189: a liquidation froze the guards.
    with Session(bundle, tmp_path, fallback="hold") as session:
        bought = decide(session, FLAT).orders[0]
        later = DUE + DAY
        held = account(bought.quantity, later)
        assert not decide(session, held, later).refusals
        gone = decide(session, FLAT | {"wallet_balance": 7_500.0}, later + DAY)
        assert [one.code for one in gone.refusals] == ["account"]
        assert "the venue shows 0; after the last decision it should be" in gone.refusals[0].reason
        assert gone.orders[0].side == "none"
        assert session.state == State.REDUCING
        again = decide(session, FLAT | {"wallet_balance": 7_500.0}, later + 2 * DAY)
        assert again.refusals
        session.resume("Ann", "liquidation of the 21st, seen")
        bought_again = decide(session, FLAT | {"wallet_balance": 7_500.0}, later + 3 * DAY)
        assert not bought_again.refusals
        assert bought_again.orders[0].side == "buy"


@pytest.mark.parametrize(
    ("fallback", "side", "share"),
    [("hold", "none", 0.0), ("reduce:0.25", "sell", 0.5), ("flat", "sell", 1.0)],
)
def test_what_fails_while_a_position_is_open_ends_in_the_fallback_that_the_user_chose(
    bundle, tmp_path, fallback, side, share
):
    # TorchTrade #343: an exception while a position was open.
    # 0.5x of 10,000 at the price of a bitcoin; "reduce:0.25" halves it
    quantity = 0.5 * 10_000.0 / price_at(DUE)
    damaged = bars_at(DUE).assign(close=np.nan)
    with Session(bundle, tmp_path, fallback=fallback) as session:
        decision = session.decide(damaged, account(quantity, DUE), now=DUE)
    order = decision.orders[0]
    assert decision.fallback == fallback
    assert "close" in decision.refusals[0].reason
    assert order.side == side
    assert order.quantity == pytest.approx(share * quantity, abs=0.001)
    assert order.reduces == (side == "sell")


def test_pending_orders_count_as_exposure(bundle, tmp_path):
    # passivbot #980: fills arrived late, a second entry, 142 % exposure.
    with Session(bundle, tmp_path) as session:
        first = decide(session, FLAT).orders[0]
        later = DUE + DAY
        waiting = [{"contract": "BTC-SYN", "quantity": first.quantity}]
        second = decide(session, FLAT, later, pending=waiting)
    assert "is pending and counts as filled" in " ".join(second.reasons)
    assert second.orders[0].quantity < 0.2 * first.quantity  # the price moved, nothing else


def test_a_decision_is_taken_once_and_its_orders_have_the_same_ids(bundle, tmp_path):
    # nautilus #4215: a resent order filled twice.
    with Session(bundle, tmp_path, venue="binance-usdm") as session:
        first = decide(session, FLAT)
        assert decide(session, account(first.orders[0].quantity, DUE)) is first
        assert [record["kind"] for record in session.journal.records] == ["begin", "decision"]
    with Session(bundle, tmp_path, venue="binance-usdm") as session:
        again = decide(session, account(first.orders[0].quantity, DUE))
    assert again.to_json() == first.to_json()
    ids = [call.params["newClientOrderId"] for call in again.calls if call.path.endswith("/order")]
    assert len(ids) == 1


def test_halted_says_what_the_venue_still_shows(bundle, tmp_path):
    # go-trader #347: a kill switch cleared its own books only.
    with Session(bundle, tmp_path, fallback="flat") as session:
        bought = decide(session, FLAT).orders[0]
        session.halt("Ann", "exchange outage")
        later = DUE + DAY
        stopped = decide(session, account(bought.quantity, later), later)
        assert stopped.state == "HALTED"
        assert stopped.refusals[0].code == "halted"
        assert (stopped.orders[0].side, stopped.orders[0].quantity) == ("sell", bought.quantity)
        assert any("not flat" in reason for reason in stopped.reasons)
        closed = decide(session, FLAT, later + DAY)
        assert closed.state == "HALTED"
        assert not any("not flat" in reason for reason in closed.reasons)
        assert closed.orders[0].side == "none"


def test_stops_are_calls_to_the_venue_and_a_stop_that_fired_is_no_disagreement(tmp_path):
    # trading-gpt #91: stops lived in the bot only.
    config = cases.SMALL.with_(controls=(StopLoss(distance=0.05),))
    bundle = load_bundle(cases.small_bundle(tmp_path / "stopped", config=config))
    with Session(bundle, tmp_path / "log", venue="binance-usdm") as session:
        first = decide(session, FLAT)
        stops = [call for call in first.calls if call.params.get("type") == "STOP_MARKET"]
        assert len(stops) == 1
        # 5 % under the expected entry, on the tick towards it
        assert float(stops[0].params["triggerPrice"]) == pytest.approx(0.95 * first.orders[0].price, abs=0.1)
        assert not decide(session, FLAT, DUE + DAY).refusals


def test_stale_or_jumping_data_stop_increases_and_reductions_pass(bundle, tmp_path):
    # Market-wide crashes: most of the damage within an hour.
    quantity = 0.5 * 10_000.0 / price_at(DUE)
    spike = bars_at(DUE).copy()
    spike.loc[spike.index[-1], ["open", "high", "low", "close"]] *= 3.0
    for bars, now, code in ((spike, DUE, "jump"), (bars_at(DUE), DUE + DAY, "stale")):
        with Session(bundle, tmp_path / code, fallback="reduce:0.1") as session:
            decision = session.decide(bars, account(quantity, DUE), now=now)
        assert [one.code for one in decision.refusals] == [code]
        assert decision.orders[0].side == "sell"
        assert decision.orders[0].quantity == pytest.approx(0.8 * quantity, rel=0.02)


# --------------------------------------------------------------------------------------------------- states and limits


@pytest.mark.parametrize(
    ("limits", "wallet", "state"),
    [
        ({"daily_loss": 0.05}, 9_400.0, State.HALTED),
        ({"daily_loss": 0.05}, 9_600.0, State.ACTIVE),
        ({"drawdown": 0.1}, 8_900.0, State.HALTED),
        ({"orders_per_day": 1}, 10_000.0, State.REDUCING),
        ({"turnover_per_day": 0.5}, 10_000.0, State.REDUCING),
        ({"leverage": 0.5}, 10_000.0, State.ACTIVE),  # cut to it before the order
    ],
)
def test_a_limit_latches_a_state(tmp_path, limits, wallet, state):
    config = cases.SMALL.with_(decision_interval="1h")
    bundle = load_bundle(cases.small_bundle(tmp_path / "hourly", config=config))
    now = DUE + np.timedelta64(3_600_000, "ms")
    with Session(bundle, tmp_path / "log", limits=limits) as session:
        bought = decide(session, FLAT).orders[0]
        if "leverage" in limits:
            assert bought.notional == pytest.approx(5_000.0, rel=0.01)
        decision = decide(session, account(bought.quantity, now, wallet), now)
        assert decision.state == state
        assert session.state == state
    with Session(bundle, tmp_path / "log", limits=limits) as session:  # it is latched over a restart
        assert session.state == state
        session.resume("Ann", "looked at it")
        assert session.state == State.ACTIVE


def test_refusals_in_a_row_and_no_decision_for_long_halt(bundle, tmp_path):
    with Session(bundle, tmp_path / "a", limits={"refusals": 2}) as session:
        states = [session.decide(bars_at(DUE), FLAT, now=DUE + (k + 2) * DAY).state for k in range(2)]
        assert states == ["ACTIVE", "HALTED"]  # the second is the last that the limit allows
        assert session.state == State.HALTED
        after = decide(session, FLAT, DUE + 4 * DAY)  # of good bars
        assert "2 refusals in a row; the limit is 2" in after.refusals[-1].reason
    assert replay(tmp_path / "a", bundle).differences == ()
    with Session(bundle, tmp_path / "b", limits={"staleness": 30}) as session:
        decide(session, FLAT)
        session.decide(bars_at(DUE), FLAT, now=DUE + DAY)
        assert session.state == State.REDUCING or session.state == State.ACTIVE
        session.decide(bars_at(DUE), FLAT, now=DUE + 2 * DAY)
        assert session.state == State.HALTED


def test_while_reducing_nothing_grows_and_reductions_pass(tmp_path):
    config = cases.SMALL.with_(decision_interval="1h")
    bundle = load_bundle(cases.small_bundle(tmp_path / "hourly", config=config))
    hour = np.timedelta64(3_600_000, "ms")
    with Session(bundle, tmp_path / "log", limits={"orders_per_day": 1}) as session:
        bought = decide(session, FLAT).orders[0].quantity
        small = decide(session, account(bought / 2, DUE + hour), DUE + hour)  # half of it was filled
        assert small.state == "REDUCING"
        assert small.orders[0].side == "none"
        larger = account(bought / 2, DUE + 2 * hour, wallet=3_000.0)  # of less equity the same is too much
        reduced = decide(session, larger, DUE + 2 * hour)
        assert reduced.state == "REDUCING"
        assert reduced.orders[0].side == "sell"


def test_a_clock_that_runs_back_is_refused(bundle, tmp_path):
    with Session(bundle, tmp_path) as session:
        decide(session, FLAT, DUE + DAY)
        decision = decide(session, FLAT, DUE)
    assert [one.code for one in decision.refusals] == ["clock"]


@pytest.mark.parametrize(
    "limits",
    [
        {"leverag": 2}, {"leverage": 0}, {"leverage": "2"}, {"daily_loss": 5}, {"drawdown": True},
        {"refusals": 1.5}, {"orders_per_day": 0.5},
    ],
)  # fmt: skip
def test_wrong_limits_are_refused(limits):
    with pytest.raises(BundleError, match=r"limit"):
        Limits.read(limits)


def test_only_a_person_with_a_reason_halts_and_resumes(bundle, tmp_path):
    with Session(bundle, tmp_path) as session:
        for person, reason in (("", "x"), ("Ann", " "), (None, "x")):
            with pytest.raises(BundleError, match="give the person and the reason"):
                session.resume(person, reason)


# ------------------------------------------------------------------------------------------------------ log and replay


def run_days(bundle, folder, days=5, **options):
    with Session(bundle, folder, **options) as session:
        taken = [one["decision"] for one in session.journal.records if one["kind"] == "decision"]
        logged = {one.time: one for one in map(Decision.from_dict, taken)}
        given = FLAT
        for k in range(days):
            now = DUE + k * DAY
            decision = logged.get(now) or decide(
                session, given, now
            )  # a process that goes on asks for what is due
            held = sum(
                {"buy": 1, "sell": -1}.get(one.side, 0) * one.quantity for one in decision.orders
            ) + given["positions"].get("BTC-SYN", {}).get("quantity", 0.0)
            given = account(held, now + DAY)
        return session.journal.head


def test_a_log_replays_to_the_same_bits(bundle, tmp_path):
    head = run_days(bundle, tmp_path, venue="bybit")
    found = replay(tmp_path, bundle, head)
    assert (found.decisions, found.refused, found.differences, found.head) == (5, 0, (), head)


def test_a_changed_a_removed_and_a_torn_line_are_found(bundle, tmp_path):
    run_days(bundle, tmp_path, days=3)
    log = tmp_path / "decisions.jsonl"
    whole = log.read_bytes()
    lines = whole.split(b"\n")
    for changed in (
        whole.replace(b'"side":"buy"', b'"side":"sell"', 1),
        b"\n".join([lines[0], *lines[2:]]),
        b"\n".join([lines[0], lines[2], lines[1], *lines[3:]]),
        whole + lines[1] + b"\n",
        whole + b"\n",
        b"",
    ):
        log.write_bytes(changed)
        with pytest.raises(JournalError):
            replay(tmp_path, bundle)
    log.write_bytes(whole[:-5])
    with pytest.raises(JournalError, match=r"line 4 is torn"):
        replay(tmp_path, bundle)
    log.write_bytes(b"\n".join([*lines[:3], b""]))
    replay(tmp_path, bundle)  # cut at a line's end: the chain cannot know
    with pytest.raises(JournalError, match="lines are missing at its end"):
        replay(tmp_path, bundle, head=json.loads(lines[3])["sha256"])


def test_every_single_byte_of_a_log_counts(bundle, tmp_path):
    run_days(bundle, tmp_path, days=1)
    log = tmp_path / "decisions.jsonl"
    whole = log.read_bytes()
    for at in range(0, len(whole), 97):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(JournalError):
            replay(tmp_path, bundle)


def test_a_torn_line_is_set_aside_and_the_session_goes_on(bundle, tmp_path):
    run_days(bundle, tmp_path, days=2)
    log = tmp_path / "decisions.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    with Session(bundle, tmp_path) as session:
        assert session.journal.records[-1]["kind"] == "torn"
        assert session.last.time == DUE
    assert replay(tmp_path, bundle).decisions == 1


def test_two_processes_do_not_write_one_log(bundle, tmp_path):
    with Session(bundle, tmp_path), pytest.raises(JournalError, match="open in another process"):
        Session(bundle, tmp_path)


def test_a_log_that_is_a_link_is_refused(bundle, tmp_path):
    (tmp_path / "decisions.jsonl").symlink_to(tmp_path / "elsewhere" / "decisions.jsonl")
    with pytest.raises(JournalError, match=r"decisions.jsonl cannot be written \(it is a link\)"):
        Session(bundle, tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_the_log_of_another_bundle_is_refused(bundle, tmp_path):
    Session(bundle, tmp_path / "log").close()
    other = load_bundle(cases.small_bundle(tmp_path / "other", FixedLeverage(2.0)))
    with pytest.raises(JournalError, match="is the log of the bundle"):
        Session(other, tmp_path / "log")
    with pytest.raises(JournalError, match="is the log of the bundle"):
        replay(tmp_path / "log", other)


def test_a_full_disk_decides_nothing(bundle, tmp_path, monkeypatch):
    with Session(bundle, tmp_path) as session:
        write = os.write

        def half(descriptor, line):
            return write(descriptor, line[: len(line) // 2])

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(JournalError, match="nothing was decided"):
            decide(session, FLAT)
        monkeypatch.undo()
        assert session.last is None
        assert decide(session, FLAT).orders[0].side == "buy"
    assert replay(tmp_path, bundle).decisions == 1


KILLED = """
    import sys
    import numpy as np
    sys.path[:0] = {paths!r}
    from tests.export.live.test_session import *
    bundle = load_bundle({bundle!r})
    print("begun", flush=True)
    run_days(bundle, {log!r}, days=12)
    print("done", flush=True)
"""


@pytest.mark.slow
def test_a_session_that_is_killed_loses_and_doubles_nothing(folder, bundle, tmp_path):
    run_days(bundle, tmp_path / "whole", days=12)
    program = textwrap.dedent(KILLED.format(paths=sys.path, bundle=str(folder), log=str(tmp_path / "killed")))
    rng = np.random.default_rng(3)
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begun\n"
        try:
            process.wait(float(rng.uniform(0.0, 0.15)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        if "done" in process.communicate()[0]:
            break
    else:
        run_days(bundle, tmp_path / "killed", days=12)

    def decisions(name):
        lines = (tmp_path / name / "decisions.jsonl").read_text().splitlines()
        return [one["decision"] for one in map(json.loads, lines) if one["kind"] == "decision"]

    assert decisions("killed") == decisions("whole")
