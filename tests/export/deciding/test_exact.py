"""Decimals on lot and tick, settings on the venue's step."""

from decimal import Decimal

import pytest
from tests.export import cases

from gearing.export import load_bundle
from gearing.export.deciding.exact import leverage_setting, on_grid

BARS = cases.bar_table(cases.market())


@pytest.mark.parametrize(
    ("value", "step", "text", "whole"),
    [
        (0.41500000000000004, 0.001, "0.415", True),
        (0.41500000000000004, 0.0, "0.41500000000000004", True),
        (64_231.899999999994, 0.1, "64231.9", True),
        (0.0205, 0.001, "0.020", False),  # off the lot: down
        (12.0, 1.0, "12.0", True),
        (1e-07, 1e-08, "0.00000010", True),
        (3e22, 10.0, "30000000000000000000000.0", True),
    ],
)
def test_a_value_becomes_a_decimal_number_on_its_grid(value, step, text, whole):
    found, was = on_grid(value, step)
    assert (Decimal(found), was) == (Decimal(text), whole)
    assert "e" not in found.lower()


@pytest.mark.parametrize(
    ("leverage", "step", "top", "setting"),
    [
        (3.59674, 1.0, 125.0, 4.0),  # whole numbers, not below the leverage
        (3.59674, 0.01, 100.0, 3.6),
        (4.0, 1.0, 125.0, 4.0),
        (4.0000000001, 1.0, 125.0, 4.0),
        (0.3, 1.0, 125.0, 1.0),
        (12.3, 1.0, 12.5, 12.0),  # 13 is more than the contract allows
    ],
)
def test_a_leverage_setting_is_on_the_step_of_the_venue(leverage, step, top, setting):
    assert leverage_setting(leverage, step, top) == setting


def test_one_basis_of_leverage_in_text_and_json(tmp_path):
    bundle = load_bundle(cases.small_bundle(tmp_path / "small"))
    price = float(BARS.close.iloc[-1])
    held = {"quantity": 0.9 * 10_000.0 / price, "entry_price": price, "leverage": 4.0, "margin": 2_400.0}
    decision = bundle.decide(
        BARS, {"wallet_balance": 10_000.0, "positions": {"BTC-SYN": held}}, now="last-bar"
    )
    # fixed 4x of a quarter of equity: 1x of equity; held are 0.9x (the last close is also the mark up to its spread)
    assert decision.target_leverage["BTC-SYN"] == pytest.approx(1.0)
    assert decision.policy_leverage["BTC-SYN"] == pytest.approx(4.0)
    assert decision.effective_leverage["BTC-SYN"] == pytest.approx(0.9, rel=0.02)
    assert decision.orders[0].side == "buy"
    assert 0.9 < decision.resulting_leverage["BTC-SYN"] <= 1.0
    line = str(decision).splitlines()[1]
    assert line.strip().startswith("BTC-SYN: target leverage +1.00x of equity, now +0.90x, +")
    order = decision.as_dict()["orders"][0]
    assert Decimal(order["exact_quantity"]) == Decimal(repr(order["quantity"]))
    assert order["leverage_setting"] == 4.0
