"""Every registered rule and control leaves the house: alone, and as the base that a network scales."""

import json
from decimal import Decimal

import numpy as np
import pytest
from tests.export import cases

from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.learned import LearnedPolicy
from gearing.evaluation.playing import signed_targets
from gearing.export import BundleError, export_bundle, load_bundle
from gearing.features import FeatureSet, is_feature
from gearing.policies import control_names, describe_rule, make_control, make_rule, rule_names
from gearing.policies.rules import FixedLeverage
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.actions import ResidualScheme

# What a control needs to be one; the others are made with their defaults.
NEEDED = {
    "drawdown_floor": {"window": "30d"}, "portfolio_limit": {"gross": 0.5}, "stop_loss": {"margin": 0.3},
    "take_profit": {"distance": 0.2}, "trailing_stop": {"atr": 3.0},
}  # fmt: skip
# The market of the tests fell in its last months; these would be flat with their defaults.
WHERE_IT_FELL = {
    "kelly": {"prior": 2.0}, "book_trend": {"windows": ["5d"]},
    "book_kelly": {"drift": "momentum_7d", "robust": 0.0},
}  # fmt: skip
CONFIG = SimulationConfig(max_leverage=20.0, margin_share=0.25, start="first")
BARS, FUNDING = cases.bar_table(cases.market()), cases.funding_table(cases.market())
LATE = 40  # decisions before the end of the market that are compared


def controls():
    return [make_control({"control": name, **NEEDED.get(name, {})}) for name in control_names()]


def table_of(*readers):
    """Features that readers ask for beside the network's, the forecast, and stand-ins for signals of nobody."""
    own = set(Simulator(cases.market(), cases.table(), CONFIG).view) - set(cases.table().columns)
    asked = [c for reader in readers for c in reader.required_columns if c not in own]
    base = list(FeatureSet.default().columns)
    names = [*base, *(c for c in dict.fromkeys(asked) if is_feature(c) and c not in base)]
    table = cases.forecast().join(FeatureSet(names).compute(cases.market()))
    rng = np.random.default_rng(0)
    for name in dict.fromkeys(asked):
        if name not in table.columns:
            table = table.join(
                name, rng.uniform(0.05, 0.95, (cases.market().n_bars, 1)), lower=0.0, upper=1.0
            )
    return table


def bars_with_signals(table):
    signals = [c for c in table.columns if not is_feature(c) and c != "forecast_volatility"]
    return BARS.assign(**{name: table.column(name)[:, 0] for name in signals})


def scaled(rule):
    """A network, trained on another rule, that scales this one."""
    trained = cases.policy()
    scheme = {"action": "residual", "max_leverage": 20.0, "base": describe_rule(rule)}
    description = PolicyDescription(**{**vars(trained.description), "scheme": scheme})
    return LearnedPolicy(trained.network, description)


def assert_parity(policy, table, config, folder):
    bundle = load_bundle(
        export_bundle(
            policy, folder, market=cases.market(), table=table, config=config, forecasts=cases.forecast()
        )
    )
    bars = bars_with_signals(table)
    simulator = Simulator(cases.market(), table, config)
    simulator.reset(seed=0)
    count, memory, moved = simulator.n_decisions, None, 0
    for k in range(count):
        targets, _ = signed_targets(policy, simulator, None, np.zeros(1, bool))
        time, account = simulator.time[0], cases.account_of(simulator)
        liquidated = bool(simulator.ledgers.liquidations[0, 0])
        simulator.step(targets)
        if k < count - LATE or (k % 8 and not config.controls):
            continue
        if liquidated:
            account["positions"].setdefault("BTC-SYN", {})["liquidated"] = True
        decision = bundle.decide(
            bars[bars.open_time < time],
            json.loads(json.dumps(account)),
            FUNDING,
            now="last-bar",
            memory=memory,
        )
        memory = json.loads(decision.to_json())["memory"]
        expected = simulator.decided[0, 0]
        if not np.isnan(expected):
            assert decision.policy_leverage["BTC-SYN"] == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert_same_quantity(decision, account, simulator)
            moved += expected != 0.0
        assert time == decision.time
    return moved


def assert_same_quantity(decision, account, simulator):
    """The order leads to the simulator's position, to the lot: the generated bars open at the close before."""
    if simulator.ledgers.liquidations[0, 0] or simulator.config.controls:
        return  # the position after the interval is not that after the order
    (order,) = decision.orders
    held = Decimal(repr(account["positions"].get("BTC-SYN", {}).get("quantity", 0.0)))
    held += {"buy": 1, "sell": -1, "none": 0}[order.side] * Decimal(order.exact_quantity)
    lot = simulator.contracts[0].lot_size
    assert round(float(held) / lot) == round(simulator.positions[0, 0].quantity / lot)


@pytest.mark.parametrize("name", rule_names())
def test_a_rules_bundle_decides_as_the_rule_and_as_a_networks_base(name, tmp_path):
    rule = make_rule({"rule": name, **WHERE_IT_FELL.get(name, {})})
    table = table_of(rule)
    config = CONFIG.with_(action=ResidualScheme(20.0, rule))
    for policy, settings, folder in ((rule, CONFIG, "rule"), (scaled(rule), config, "residual")):
        moved = assert_parity(policy, table, settings, tmp_path / folder)
        assert moved > 0 or name == "book_carry"  # one contract is neither cheap nor dear among itself


def test_every_control_travels_with_a_bundle(tmp_path):
    config = CONFIG.with_(controls=tuple(controls()))
    assert assert_parity(FixedLeverage(8.0), table_of(*controls()), config, tmp_path / "guarded") > 0


def test_a_rule_of_ones_own_that_is_not_registered_is_refused_with_what_to_do(tmp_path):
    class Own(FixedLeverage):
        pass

    with pytest.raises(BundleError, match=r"Own is not a registered rule; decorate it with @rule"):
        export_bundle(Own(), tmp_path / "own", market=cases.market(), table=cases.table(), config=CONFIG)
