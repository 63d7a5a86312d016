"""A bundle decides with numpy and onnxruntime, where nothing else is installed."""

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
    "onnxscript", "matplotlib", "optuna", "ray", "filelock", "pandas", "pyarrow", "numba", "llvmlite", "scipy",
    "pydantic", "pydantic_core", "yaml", "typer", "rich", "omegaconf", "joblib", "cloudpickle",
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
    bundle = load_bundle({bundle!r})
    decision = bundle.decide({bars!r}, account, {funding!r}, now="last-bar", venue="binance-usdm")
    assert bundle.stream({bars!r}, {funding!r}).decide(account, now="last-bar", venue="binance-usdm").orders
    print(json.dumps(decision.as_dict()["target_leverage"]))
"""


@pytest.mark.parametrize("kind", ["network", "rule"])
def test_a_bundle_decides_with_numpy_and_onnxruntime_only(kind, tmp_path):
    policy = cases.policy() if kind == "network" else VolatilityTarget()
    bundle = export_bundle(
        policy, tmp_path / kind, market=cases.market(), table=cases.table(), config=cases.CONFIG,
        forecasts=cases.forecast(),
    )  # fmt: skip
    bars, funding = tmp_path / "bars.csv", tmp_path / "funding.csv"
    cases.bar_table(cases.market()).to_csv(bars, index=False)
    cases.funding_table(cases.market()).to_csv(funding, index=False)
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


def test_parquet_without_pandas_is_refused_with_what_to_give(tmp_path):
    bundle = cases.small_bundle(tmp_path / "small")
    bars = tmp_path / "bars.parquet"
    cases.bar_table(cases.market()).to_parquet(bars)
    program = PROGRAM.format(absent=ABSENT, bundle=str(bundle), bars=str(bars), funding="")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=300
    )
    assert (
        "Parquet and Feather need pandas and pyarrow, which are not installed; give CSV or JSON"
        in done.stderr
    )


def test_the_face_without_the_command_line_prints_a_decision_or_one_error(tmp_path, capsys):
    from gearing.export.__main__ import main

    bundle = str(cases.small_bundle(tmp_path / "small"))
    bars = cases.bar_table(cases.market()).tail(60)
    bars.to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "now.txt").write_text(f"{cases.market().close_time[-1]}\n")
    (tmp_path / "account.json").write_text('{"equity": 10000, "positions": {}}')
    given = [bundle, "--bars", str(tmp_path / "bars.csv"), "--account", str(tmp_path / "account.json")]
    assert main([*given, "--now", str(tmp_path / "now.txt"), "--json", str(tmp_path / "out.json")]) == 0
    assert "target leverage" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["refusals"] == []
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("error: now is missing")
    assert main([*given, "--fallback", "hold"]) == 1
    assert "REFUSED" in capsys.readouterr().out
    assert main([*given, "--now", "last-bar", "--digest", "0" * 64]) == 2
    assert "it is another bundle" in capsys.readouterr().err


def test_the_command_without_its_packages_says_what_to_install_and_what_works():
    code = """
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "typer":
                    raise ModuleNotFoundError("No module named 'typer'", name="typer")

        sys.meta_path.insert(0, Absent())
        from gearing.__main__ import main

        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: the command line needs typer, which is not installed: pip install gearing."
    )
    assert len(done.stderr.splitlines()) == 1
