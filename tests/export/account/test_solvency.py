"""Accounts in liquidation are refused, those near it only reduce."""

import pandas as pd
import pytest
from tests.export import cases

from gearing.export import BundleError, load_bundle
from gearing.policies.rules import FixedLeverage

DUE = pd.Timestamp("2020-10-20T00:00")
BARS = cases.bar_table(cases.market())
BARS = BARS[BARS.open_time < DUE]
PRICE = float(BARS.mark_close.iloc[-1])
TIER = cases.market().contracts[0].schedule_at(DUE).tiers[0]  # of a small position


@pytest.fixture(scope="module")
def isolated(tmp_path_factory):
    return load_bundle(cases.small_bundle(tmp_path_factory.mktemp("bundles") / "isolated"))


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    config = cases.SMALL.with_(margin_mode="cross", margin_share=1.0)
    return load_bundle(cases.small_bundle(tmp_path_factory.mktemp("bundles") / "cross", config=config))


def account(balance, side=1.0, wallet=10_000.0, **more):
    """A position of 1,000 of notional at the mark whose margin balance (margin and profit) is ``balance``."""
    quantity = side * 1_000.0 / PRICE
    entry = PRICE * (1.0 + side * 0.05)  # it has lost about 50
    loss = quantity * (PRICE - entry)
    held = {"quantity": quantity, "entry_price": entry, "leverage": 10.0, "margin": balance - loss}
    return {"wallet_balance": wallet, "positions": {"BTC-SYN": held}, **more}


NEEDED = 1_000.0 * TIER.rate  # maintenance margin of 1,000 in the lowest tier


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("share", [1.0, 0.99, 0.5, 0.0, -3.0])
def test_an_isolated_position_at_or_under_its_maintenance_margin_is_refused(isolated, share, side):
    with pytest.raises(BundleError, match="the position in BTC-SYN is in liquidation: its margin balance"):
        isolated.decide(BARS, account(NEEDED * share * (1 - 1e-9), side), now=DUE)


def test_near_liquidation_nothing_is_added_and_it_is_said(isolated):
    # 90 % of the margin balance is maintenance margin; fixed 4x of a quarter of 10,000 would buy up to 10,000.
    decision = isolated.decide(BARS, account(NEEDED / 0.9), now=DUE)
    assert decision.orders[0].side == "none"
    assert "WARNING: the position in BTC-SYN is near liquidation" in decision.reasons[0]
    assert (
        "is 90% of its margin balance at the deciding mark; from 80% on only reductions"
        in decision.reasons[0]
    )
    assert decision.resulting_leverage == decision.effective_leverage
    # 79 % is not near it
    decision = isolated.decide(BARS, account(NEEDED / 0.79), now=DUE)
    assert decision.orders[0].side == "buy"
    assert not any("WARNING" in reason for reason in decision.reasons)


def test_near_liquidation_a_position_on_the_other_side_is_closed_and_not_turned(isolated):
    decision = isolated.decide(BARS, account(NEEDED / 0.9, side=-1.0), now=DUE)
    order = decision.orders[0]
    assert (order.side, order.reduces) == ("buy", True)
    assert order.quantity == pytest.approx(1_000.0 / PRICE, rel=1e-2)
    assert decision.target_leverage["BTC-SYN"] == 0.0


def test_near_liquidation_a_reduction_passes(tmp_path):
    bundle = load_bundle(cases.small_bundle(tmp_path / "little", FixedLeverage(0.2)))
    # 0.2x of a quarter of 10,000 is 500 of the 1,000 held
    order = bundle.decide(BARS, account(NEEDED / 0.9), now=DUE).orders[0]
    assert (order.side, order.reduces) == ("sell", True)
    assert order.notional == pytest.approx(500.0, rel=0.03)  # up to a lot


@pytest.mark.parametrize("wallet", [50.0, 0.0, -10.0])
def test_a_cross_account_at_or_under_its_maintenance_margin_is_refused(cross, wallet):
    # Equity is the wallet balance less the loss of about 50: nothing, or less.
    with pytest.raises(BundleError, match="in liquidation"):
        cross.decide(BARS, account(1.0, wallet=wallet), now=DUE)


def test_a_cross_account_near_liquidation_only_reduces(cross):
    decision = cross.decide(BARS, account(1.0, wallet=50.0 + NEEDED / 0.9), now=DUE)
    assert "the account is near liquidation" in decision.reasons[0]
    assert decision.orders[0].side != "buy"


def test_a_position_that_is_in_liquidation_at_the_newest_mark_is_refused(isolated):
    # Fine at midnight, when the decision was due; two hours later the price is 20 % lower.
    later = BARS.tail(2).copy()
    later["open_time"] += pd.Timedelta("2h")
    later.loc[:, [c for c in later if c not in ("open_time", "volume")]] *= 0.8
    bars = pd.concat([BARS, later])
    with pytest.raises(BundleError, match="is in liquidation: its margin balance at the newest mark"):
        isolated.decide(bars, account(100.0), now=DUE + pd.Timedelta("2h"))
    assert isolated.decide(BARS, account(100.0), now=DUE).orders[0].side == "buy"


def test_an_account_without_positions_is_never_in_liquidation(isolated, cross):
    for bundle in (isolated, cross):
        decision = bundle.decide(BARS, {"wallet_balance": 10.0, "positions": {}}, now=DUE)
        assert not any("WARNING" in reason for reason in decision.reasons)
