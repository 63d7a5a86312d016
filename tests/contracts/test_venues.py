import subprocess
import sys
from dataclasses import replace

import pytest

from gearing.contracts import shipped_schedules, venue, venue_names


@pytest.mark.parametrize("name", venue_names())
def test_every_venue_is_dated_sourced_and_says_how_its_rules_were_checked(name):
    profile = venue(name)
    assert profile.as_of.year == 2026
    assert profile.sources
    assert profile.confirmed
    assert name in str(profile)


@pytest.mark.parametrize(
    ("name", "taker", "maintenance", "leverage_change", "hours"),
    [
        ("binance-usdm", 0.0005, "mark", "up_only", 8),
        ("bybit", 0.00055, "entry", "free", 8),
        ("okx", 0.0005, "mark_plus_fee", "free", 8),
        ("hyperliquid", 0.00045, "mark", "up_only", 1),
        ("bitmex", 0.00075, "entry", "free", 8),
    ],
)
def test_venues_differ_where_the_exchange_rules_say_so(name, taker, maintenance, leverage_change, hours):
    profile = venue(name)
    assert profile.taker_fee == taker
    assert profile.maintenance == maintenance
    assert profile.leverage_change == leverage_change
    assert profile.funding_interval_hours == hours
    assert profile.funding_debit == ("free_balance_first" if name == "bybit" else "margin")


@pytest.mark.parametrize("name", venue_names())
def test_the_first_fee_level_is_the_default(name):
    profile = venue(name)
    level, taker, maker = profile.fee_levels[0]
    assert (taker, maker) == (profile.taker_fee, profile.maker_fee)
    assert profile.fees(level) == (taker, maker)


def test_a_venue_builds_contracts_with_its_rounding():
    contract = venue().contract("BTCUSDT", shipped_schedules("BTCUSDT"))
    assert (contract.tick_size, contract.lot_size, contract.min_notional) == (0.1, 0.001, 100)


def test_a_symbol_without_a_spec_is_not_rounded():
    contract = venue().contract("NEWUSDT", shipped_schedules("BTCUSDT"))
    assert (contract.tick_size, contract.lot_size, contract.min_notional) == (0, 0, 0)


def test_an_unknown_venue_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'binance-usdm'"):
        venue("binance-um")


def test_a_fee_in_percent_is_refused():
    with pytest.raises(ValueError, match="must be a fraction"):
        replace(venue(), taker_fee=0.5)


def test_contracts_need_neither_pandas_nor_numba():
    code = "import gearing.contracts as c, sys; c.venue(); print({'pandas', 'numba'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    )
