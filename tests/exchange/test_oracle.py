"""The compiled kernel, the same source interpreted, and exact decimals from the rules give the same accounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.exchange.scenarios import COUNTS, Scenario, run_kernel, run_oracle

EVENTS = (
    "scenarios", "cross", "inverse", "hedge", "flips", "gaps", "liquidations by funding", "tier crossings",
    "cross liquidations", "inverse liquidations", "hedge-mode liquidations", "sizes bound by the free balance",
    "settings kept for want of a top-up", "liquidations under jumping requirements", "two tiers gone down at a time",
    "fifths sold first", "positions taken by the vault", "margins of cut orders",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
INTERPRET = """
import json, sys
from tests.exchange.scenarios import Scenario, run_kernel
print(json.dumps([run_kernel(Scenario(seed)) for seed in range(int(sys.argv[1]))]))
"""


def disagreements(seed: int, seen: Counter[str]) -> str | None:
    """First disagreement of kernel and oracle in a scenario, in words."""
    scenario = Scenario(seed)
    exact, ours = run_oracle(scenario, seen), run_kernel(scenario)
    if len(exact) != len(ours):
        return f"scenario {seed}: {len(exact)} and {len(ours)} decisions"
    for d, (a, b) in enumerate(zip(exact, ours, strict=True)):
        for name, value in a.items():
            if not np.allclose(value, b[name], rtol=1e-8, atol=1e-6):
                return f"scenario {seed}, decision {d}, {name}: exact {value}, kernel {b[name]}"
        seen.update({name: int(sum(a[name])) for name in COUNTS})
    seen.update({name: int(getattr(scenario, name)) for name in ("cross", "inverse", "hedge")})
    seen["scenarios"] += 1
    return None


def compare(first: int, last: int, record_property: Callable[[str, object], None]) -> None:
    """No disagreement, and everything happens that the scenarios are there for; pytest's summary shows how often."""
    seen: Counter[str] = Counter()
    found = [text for seed in range(first, last) if (text := disagreements(seed, seen))]
    assert not found, "\n".join(found[:5])
    missing = [name for name in (*COUNTS, *EVENTS) if not seen[name]]
    assert not missing, f"scenarios {first} to {last} show no {', '.join(missing)}"
    record_property("scenarios", dict(seen))


def test_the_kernel_agrees_with_exact_decimals(record_property):
    compare(0, 300, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_the_kernel_agrees_with_exact_decimals_on_ten_thousand_scenarios(block, record_property):
    compare(1000 * (block + 1), 1000 * (block + 2), record_property)


def interpreted(count: int) -> list[list[dict[str, list[float]]]]:
    """The first scenarios in a fresh process without compilation."""
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
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
