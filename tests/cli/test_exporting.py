"""``gearing export`` of a policy that is named with its settings."""

import json

import pytest

from gearing.cli import run
from gearing.export import load_bundle

MARKET = ["market.years=0.3", "decision.max_leverage=5"]


@pytest.fixture(autouse=True)
def generated_market(monkeypatch):
    monkeypatch.delenv("GEARING_DATA", raising=False)


def refused(capsys, *given):
    assert run(["export", *given]) == 2
    return capsys.readouterr().err


def test_a_rule_with_its_settings_becomes_a_bundle_that_decides(tmp_path, capsys):
    from gearing.export.__main__ import main

    bundle, inputs = tmp_path / "mine", tmp_path / "mine-decide"
    settings = ["leverage=2.5", *MARKET]
    assert run(["export", "fixed", *settings, "--output", str(bundle)]) == 0
    assert f"digest      {load_bundle(bundle).digest}" in capsys.readouterr().out
    about = load_bundle(bundle).manifest
    assert (about.kind, about.name, dict(about.rule)) == (
        "rule",
        "fixed leverage=2.5",
        {"rule": "fixed", "leverage": 2.5},
    )
    assert [row["played"] for row in about.evaluation["results"]] == ["fixed leverage=2.5"]
    given = [str(bundle), "--bars", f"{inputs}/bars.csv", "--funding", f"{inputs}/funding.csv"]
    given += [
        "--account",
        f"{inputs}/account.json",
        "--now",
        f"{inputs}/now.txt",
        "--json",
        f"{tmp_path}/out",
    ]
    assert main(given) == 0
    assert json.loads((tmp_path / "out").read_text())["policy_leverage"] == {"BTC-SYN": 2.5}


def test_a_rule_that_reads_the_forecast_takes_its_network_along(tmp_path):
    settings = ["column=forecast_volatility", "market.years=0.6", "forecast.train=90d"]
    assert run(["export", "volatility_target", *settings, "--output", str(tmp_path / "b")]) == 0
    (spec,) = load_bundle(tmp_path / "b").manifest.forecasts
    assert (spec.column, spec.recipe, (tmp_path / "b" / spec.file).is_file()) == (
        "forecast_volatility", "har_dow", True,
    )  # fmt: skip


def test_what_cannot_be_exported_is_refused_with_what_to_do(tmp_path, capsys):
    new = str(tmp_path / "new")
    assert "fixed_3x: give --output FOLDER" in refused(capsys, "fixed_3x")
    assert "exists. Choose another --output" in refused(capsys, "fixed_3x", "--output", str(tmp_path))
    assert "--seed: these choose among the policies of a study" in refused(
        capsys, "fixed_3x", "--output", new, "--seed", "1"
    )
    assert "Did you mean 'volatility_weighted'?" in refused(capsys, "volatilty_weighted", "--output", new)
    assert "holds no experiment.yaml" in refused(capsys, str(tmp_path / "runs" / "none"))
    (tmp_path / "own.py").write_text(
        "class Own:\n    required_columns = ()\n    action_scheme = 'target'\n"
        "    def predict(self, observation, state=None, episode_start=None, deterministic=False):\n"
        "        import numpy as np\n        return np.ones((1, 1)), state\n"
    )
    assert "Own is not a registered rule; decorate it with @rule" in refused(
        capsys, f"{tmp_path}/own.py:Own", "market.years=0.1", "--output", new
    )
    assert run(["export", "fixed_1x", "market.years=0.1", "--output", new]) == 0
    assert "is a bundle already; copy its folder" in refused(capsys, new, "--output", str(tmp_path / "more"))
    assert not (tmp_path / "more").exists()
