"""What a user waits for on a machine without compiled code: a first backtest, environment step and market A's solution.

CPU seconds of a fresh process on an empty cache, and of a second process that finds the code there; the reference is a
process that only imports numba and pandas. Parts that a run does not use are not compiled: ``--cross`` adds a backtest
with cross margin, which compiles the loop again with all parts.

    python tests/benchmarks/first.py [--cross] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BACKTEST = "gearing.backtest(gearing.rules.VolatilityWeighted(low=3, high=8), market, direction='long', %s)"
PARTS = {
    "reference": "import numba, pandas",
    "import": "import gearing, gearing.simulation",
    "market": "market = gearing.synthetic_market('market-b', seed=1, years=1)",
    "backtest": BACKTEST % "margin_share=0.1",
    "environment": "import gymnasium\n"
    "env = gymnasium.make('gearing/Perpetual-v0', market=market, decision_interval='1h')\n"
    "env.reset(seed=0)\nenv.step(env.action_space.sample())",
    "solver": "from gearing.market.oracle.finite_oracle import solve\n"
    "from gearing.market.synthetic.market_a import MarketA\nsolve(MarketA())",
    "cross": BACKTEST % "margin_share=0.1, margin_mode='cross'",
}
PROGRAM = """
import json, time
spent, last = {}, time.process_time()
for name, source in json.loads(%r).items():
    exec(source)
    spent[name], last = time.process_time() - last, time.process_time()
print(json.dumps(spent))
"""


def process(cache: str, parts: list[str]) -> dict[str, float]:
    """CPU seconds of each part, in a process of its own."""
    program = PROGRAM % json.dumps({name: PARTS[name] for name in parts})
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": cache,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cross", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    parts = [name for name in PARTS if name != "reference" and (name != "cross" or options.cross)]
    with tempfile.TemporaryDirectory() as cache:
        reference = process(cache, ["reference"])["reference"]
        first, second = process(cache, parts), process(cache, parts)
    result = {"reference": reference, "first": first, "second": second}
    print(f"{'CPU s':14s}  first process  second")
    for name in parts:
        print(f"{name:14s}  {first[name]:13.2f}  {second[name]:6.2f}")
    asked = ("import", "backtest", "environment", "solver")
    for name, spent in (("first", first), ("second", second)):
        total = sum(spent[part] for part in asked)
        result[f"{name}_ratio"] = total / reference
        print(f"{name:14s}  {total:.1f} CPU s without the market and cross margin, "
              f"{total / reference:.1f} x importing numba and pandas ({reference:.2f})")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
