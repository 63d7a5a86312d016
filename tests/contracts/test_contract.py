import json
from dataclasses import FrozenInstanceError, replace
from datetime import date, datetime

import numpy as np
import pytest

from gearing.contracts import Contract, TierSchedule

OLD = replace(TierSchedule.flat(0.005, 50), as_of=date(2022, 2, 12))
NEW = replace(TierSchedule.flat(0.004, 125), as_of=date(2024, 7, 4))
CONTRACT = Contract("BTCUSDT", schedules=(OLD, NEW))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2021-05-19", OLD),  # none is older: the earliest
        ("2022-02-12", OLD),
        ("2024-07-03T23:59", OLD),
        ("2024-07-04", NEW),
        (datetime(2025, 1, 1), NEW),
        (np.datetime64("2025-01-01T00:00", "ms"), NEW),
    ],
)
def test_the_schedule_in_force_is_the_nearest_earlier_copy(time, expected):
    assert CONTRACT.schedule_at(time) is expected


def test_a_contract_says_when_it_knows_no_schedule_as_old_as_the_bars():
    assert not CONTRACT.knows_tiers_at("2020-03-12")
    assert CONTRACT.knows_tiers_at("2022-02-12")


def test_top_leverage_is_that_of_the_newest_schedule():
    assert CONTRACT.top_leverage == 125


def test_a_contract_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CONTRACT.symbol = "ETHUSDT"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"schedules": ()}, "no margin tiers"),
        ({"schedules": (NEW, OLD)}, "ascend by as_of"),
        ({"schedules": (OLD, TierSchedule.flat(0.01))}, "only the first"),
        ({"kind": "quanto"}, "'linear' or 'inverse'"),
        ({"tick_size": -0.1}, "tick_size"),
        ({"multiplier": 0.0}, "multiplier"),
        ({"symbol": ""}, "symbol"),
    ],
)
def test_a_broken_contract_is_refused_with_its_rule(changes, rule):
    with pytest.raises(ValueError, match=rule):
        replace(CONTRACT, **changes)


def test_a_contract_prints_what_decides_its_risk():
    assert str(CONTRACT).startswith("BTCUSDT (linear, settles in USDT, up to 125x")


def test_a_contract_survives_json():
    assert Contract.from_dict(json.loads(json.dumps(CONTRACT.to_dict()))) == CONTRACT
