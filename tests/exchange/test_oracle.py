"""The compiled kernel, the same source interpreted, and exact decimals from the rules give the same accounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.exchange.scenarios import COUNTS, Scenario, run_kernel, run_oracle

ROOT = Path(__file__).resolve().parents[2]
INTERPRET = """
import json, sys
from tests.exchange.scenarios import Scenario, run_kernel
print(json.dumps([run_kernel(Scenario(seed)) for seed in range(int(sys.argv[1]))]))
"""


def disagreements(seed: int, seen: Counter[str]) -> str | None:
    """First disagreement of kernel and oracle in a scenario, in words."""
    scenario = Scenario(seed)
    exact, ours = run_oracle(scenario), run_kernel(scenario)
    if len(exact) != len(ours):
        return f"scenario {seed}: {len(exact)} and {len(ours)} decisions"
    for d, (a, b) in enumerate(zip(exact, ours, strict=True)):
        for name, value in a.items():
            if not np.allclose(value, b[name], rtol=1e-8, atol=1e-6):
                return f"scenario {seed}, decision {d}, {name}: exact {value}, kernel {b[name]}"
        seen.update({name: int(sum(a[name])) for name in COUNTS})
        seen["cross"] += scenario.cross
        seen["inverse"] += scenario.inverse
        seen["crossed_tiers"] += any(len(s) > 1 for s in scenario.schedules)
    return None


def compare(first: int, last: int) -> None:
    seen: Counter[str] = Counter()
    found = [text for seed in range(first, last) if (text := disagreements(seed, seen))]
    assert not found, "\n".join(found[:5])
    # The scenarios are worth something only if everything happens in them.
    for name in ("fills", "liquidations", "stops", "take_profits", "refused", "capped", "cross", "inverse"):
        assert seen[name] > 0, f"no {name} in scenarios {first} to {last}"


def test_the_kernel_agrees_with_exact_decimals():
    compare(0, 300)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_the_kernel_agrees_with_exact_decimals_on_ten_thousand_scenarios(block):
    compare(1000 * (block + 1), 1000 * (block + 2))


def interpreted(count: int) -> list[list[dict[str, list[float]]]]:
    """The first scenarios in a fresh process without compilation."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRET, str(count)], capture_output=True, text=True, env=environment, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_interpreted_code_gives_the_compiled_numbers_to_the_last_bit():
    for seed, exact in enumerate(interpreted(150)):
        assert run_kernel(Scenario(seed)) == exact, f"scenario {seed}"


@pytest.mark.slow
def test_interpreted_code_gives_the_compiled_numbers_to_the_last_bit_on_ten_thousand_scenarios():
    for seed, exact in enumerate(interpreted(10_000)):
        assert run_kernel(Scenario(seed)) == exact, f"scenario {seed}"
