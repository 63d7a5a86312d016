"""The numbers that venues, their documents and other libraries print, reproduced by the functions the Simulator runs.

``GEARING_CONFORMANCE`` names folders of case files (several, separated by ":"); without it the public cases in
``tests/conformance`` are run. A rule or input that the runner does not know is skipped with the reason.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.case_inputs import HERE, Inputs, NotCoveredError, case_folders, load_cases
from tests.exchange.case_rules import RULES

CASES = load_cases(case_folders())
NONE_WORDS = (None, "none", "None", "null", "nan", "NaN", "never", "")
WORDS = {"true": True, "false": False, "True": True, "False": False}


def is_number(value: Any) -> bool:
    try:
        Decimal(str(value))
    except ArithmeticError:
        return False
    return not isinstance(value, bool)


def agrees(ours: Any, expected: Any, tolerance: dict[str, str]) -> bool:
    """Whether a value is the expected one; a price that does not exist is NaN here and "none" or 0 there."""
    expected = WORDS.get(expected, expected) if isinstance(expected, str) else expected
    if isinstance(expected, dict):
        if not isinstance(ours, dict):
            return False
        unknown = set(expected) - set(ours)
        if unknown:
            raise NotCoveredError(f"expected values {sorted(unknown)}")
        return all(agrees(ours[name], value, tolerance) for name, value in expected.items())
    if isinstance(expected, list):
        return len(ours) == len(expected) and all(
            agrees(a, b, tolerance) for a, b in zip(ours, expected, strict=True)
        )
    if isinstance(expected, bool):
        return bool(ours) == expected
    if expected in NONE_WORDS:
        return ours is None or (isinstance(ours, float) and math.isnan(ours))
    if not is_number(expected):
        return ours == expected
    if isinstance(ours, dict):
        named = [value for value in ours.values() if isinstance(value, float)]
        raise NotCoveredError(f"one number expected where the rule gives {len(named)}")
    if ours is None or math.isnan(ours):
        return float(expected) == 0.0  # venues print 0 for a liquidation price that does not exist
    gap = abs(Decimal(float(ours)) - Decimal(str(expected)))
    allowed = Decimal(tolerance.get("abs", "0")) + Decimal(tolerance.get("rel", "0")) * abs(
        Decimal(str(expected))
    )
    return gap <= allowed


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_printed_number_is_reproduced(case):
    if case["rule"] not in RULES:
        pytest.skip(f"rule {case['rule']} is not covered")
    expected = case["expected"]
    try:
        ours = RULES[case["rule"]](Inputs(case))
        if isinstance(ours, dict) and not isinstance(expected["value"], dict):
            ours = ours.get(expected["quantity"], ours)
        same = agrees(ours, expected["value"], case["tolerance"])
    except NotCoveredError as missing:
        pytest.skip(f"not covered: {missing}")
    assert same, f"{case['rule']}: {ours} instead of {expected['value']}"


def test_every_named_rule_of_the_public_cases_is_covered():
    assert {case["rule"] for case in load_cases([HERE])} <= set(RULES)
