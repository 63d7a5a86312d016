"""Every rule name of the conformance cases, on random cases, against its formula in exact decimals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.exchange.case_formulas import FORMULAS, is_inverse
from tests.exchange.case_inputs import Inputs
from tests.exchange.case_ledger import random_steps, replay
from tests.exchange.case_rules import RULES

EXAMPLES = 60


def close_to(ours: Any, exact: Any) -> bool:
    if isinstance(exact, dict):
        return all(close_to(ours[name], value) for name, value in exact.items())
    if exact is None:
        return ours is None or math.isnan(ours)
    if exact in ("long", "short") or isinstance(exact, bool):
        return ours == exact
    return ours == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def case_of(name: str, inputs: dict[str, Any], exact: Any) -> Inputs:
    return Inputs({
        "rule": name, "inputs": inputs, "expected": {"quantity": "value", "value": exact},
        "contract": {"kind": "inverse" if is_inverse(name) else "linear", "multiplier": "1"},
    })  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_a_rule_gives_what_its_formula_gives_in_exact_decimals(name):
    draw = FORMULAS[name]
    both = "inverse" in draw.__code__.co_varnames[: draw.__code__.co_argcount]
    for seed in range(EXAMPLES):
        rng = np.random.default_rng([seed, sorted(FORMULAS).index(name)])
        inputs, exact = draw(rng, is_inverse(name)) if both else draw(rng)
        ours = RULES[name](case_of(name, inputs, exact))
        assert close_to(ours, exact), f"example {seed}: {ours} instead of {exact}; {inputs}"


def test_every_rule_name_has_its_formula_here():
    unnamed = {name for name in RULES if name not in FORMULAS and not name.startswith("scenario.")}
    assert unnamed == {"im.rate_linear", "fills.inverse", "funding.inverse.window"}  # twins of another kind


def test_a_scenario_of_one_isolated_position_ends_as_its_ledger_in_exact_decimals():
    ends = {"liquidated": 0, "held": 0, "flat": 0, "paid by the fund": 0}
    for seed in range(400):
        inputs = random_steps(np.random.default_rng(seed))
        exact = replay(inputs)
        ours = RULES["scenario.linear_isolated"](case_of("scenario.linear_isolated", inputs, exact))
        assert close_to(ours, exact), f"scenario {seed}: {ours} instead of {exact}; {inputs}"
        ends["liquidated"] += exact["liquidated"]
        ends["paid by the fund"] += exact["insurance_paid"] > 0
        ends["flat" if exact["position"] is None else "held"] += 1
    assert min(ends.values()) > 20, ends
