"""A simulation compiles the parts of the rules that it needs, and no order rests unseen."""

import copy

import numpy as np
import pytest

import gearing
from gearing.exchange.engine.compiled import INTERPRETED
from gearing.exchange.engine.parts import CROSS, STOPS, VARIANTS, marked
from gearing.exchange.records import config_dtype, guard_dtype, records
from gearing.simulation import SimulationConfig, Simulator

pytestmark = pytest.mark.skipif(INTERPRETED, reason="interpreted code has all parts")


def marks(stops=False, **settings):
    config = np.zeros(1, config_dtype)
    for name, value in settings.items():
        config[name] = value
    return [name for name in marked(config, stops).dtype.names if name not in config_dtype.names]


def test_a_plain_simulation_needs_no_part():
    # Fees, ruin and how a liquidation is settled are in every simulation.
    assert marks(maker=1, ruin_fraction=0.1, largest_target=20.0, fee_then_return=1) == []


def test_a_part_brings_those_before_it():
    assert marks(stops=True) == [STOPS]
    assert marks(closing_fee=0.0005) == [STOPS, VARIANTS]
    assert marks(cross=1) == marks(hedge=1, cross=1) == [STOPS, VARIANTS, CROSS]


def test_marks_leave_the_settings_as_they_are():
    config = np.zeros(1, config_dtype)
    config["cross"], config["band"] = 1, 0.25
    found = marked(config, True)
    assert all(found[name] == config[name] for name in config_dtype.names)


def test_orders_that_rest_from_an_earlier_simulator_fire_in_its_copy():
    """The copy has never been given a stop, so without a look at the positions its code would not have them."""
    market = gearing.synthetic_market("market-b", seed=1, years=0.5)
    settings = SimulationConfig(max_leverage=10.0, decision_interval="1h", start="first", direction="long")
    simulator = Simulator(market, None, settings)
    simulator.reset(seed=0)
    guards = records((1, 1), guard_dtype)
    guards.stop, guards.take_profit, guards.trailing = 0.02, np.nan, np.nan
    simulator.step(np.array([[2.0]]), guards)
    assert simulator.positions.guarded.all()
    twin, stops = copy.deepcopy(simulator), 0
    for _ in range(400):
        twin.step(np.array([[np.nan]]))
        stops += int(twin.ledgers.stops.sum())
        if stops:
            break
        simulator.step(np.array([[np.nan]]))
    simulator.step(np.array([[np.nan]]))
    assert stops == 1
    assert simulator.accounts.tobytes() == twin.accounts.tobytes()
