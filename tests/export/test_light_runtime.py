"""A bundle decides where the training stack is not installed."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from tests.export import cases

from gearing.export import export_bundle
from gearing.policies.rules import VolatilityTarget

ABSENT = (
    "torch", "stable_baselines3", "sb3_contrib", "gymnasium", "mlflow", "sklearn", "lightgbm", "arch", "onnx",
    "onnxscript", "matplotlib", "optuna", "ray", "filelock",
)  # fmt: skip

PROGRAM = """
    import json, sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {absent!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}} (blocked by the test)")
            return None

    sys.meta_path.insert(0, Absent())
    from gearing.export import load_bundle

    account = {{"equity": 10000.0, "positions": {{}}}}
    decision = load_bundle({bundle!r}).decide({bars!r}, account, {funding!r}, now="last-bar")
    print(json.dumps(decision.as_dict()["target_leverage"]))
"""


@pytest.mark.parametrize("kind", ["network", "rule"])
def test_a_bundle_decides_without_the_training_stack(kind, tmp_path):
    policy = cases.policy() if kind == "network" else VolatilityTarget()
    bundle = export_bundle(
        policy, tmp_path / kind, market=cases.market(), table=cases.table(), config=cases.CONFIG,
        forecasts=cases.forecast(),
    )  # fmt: skip
    bars, funding = tmp_path / "bars.parquet", tmp_path / "funding.parquet"
    cases.bar_table(cases.market()).to_parquet(bars)
    cases.funding_table(cases.market()).to_parquet(funding)
    program = PROGRAM.format(absent=ABSENT, bundle=str(bundle), bars=str(bars), funding=str(funding))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    target = json.loads(done.stdout)["BTC-SYN"]
    assert 0.0 <= target <= 10.0
