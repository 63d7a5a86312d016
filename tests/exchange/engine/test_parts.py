"""A simulation compiles the parts of the rules that it needs, and no order rests unseen."""

import copy

import numpy as np
import pytest

import gearing
from gearing.exchange.engine.compiled import INTERPRETED
from gearing.exchange.engine.parts import CROSS, INVERSE, SLOTS, STOPS, VARIANTS, marked, needed_parts
from gearing.exchange.records import config_dtype, contract_dtype, guard_dtype, records
from gearing.simulation import SimulationConfig, Simulator

pytestmark = pytest.mark.skipif(INTERPRETED, reason="interpreted code has all parts")


def parts(stops=False, slots=1, inverse=0, **settings):
    config, contracts = np.zeros(1, config_dtype), np.zeros((1, 1), contract_dtype)
    contracts["inverse"] = inverse
    for name, value in settings.items():
        config[name] = value
    return needed_parts(config, contracts, slots, stops)


def test_a_plain_simulation_needs_no_part():
    # Fees, ruin and how a liquidation is settled are in every simulation.
    assert parts(maker=1, ruin_fraction=0.1, largest_target=20.0, fee_then_return=1) == ()


def test_a_part_brings_those_before_it():
    assert parts(stops=True) == (STOPS,)
    assert parts(slots=2) == parts(inverse=1) == (STOPS, SLOTS, INVERSE)
    assert parts(closing_fee=0.0005) == (STOPS, SLOTS, INVERSE, VARIANTS)
    assert parts(cross=1) == parts(hedge=1, cross=1, slots=2) == (STOPS, SLOTS, INVERSE, VARIANTS, CROSS)


def test_marks_leave_the_settings_as_they_are():
    config = np.zeros(1, config_dtype)
    config["cross"], config["band"] = 1, 0.25
    found = marked(config, (STOPS, CROSS))
    assert found.dtype.names == (*config_dtype.names, STOPS, CROSS)
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
