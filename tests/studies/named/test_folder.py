"""Folders as policies: bundles and trained agents, on any market that has their columns."""

import numpy as np
import pytest
from tests.agents.own.models import COLUMNS, model
from tests.export.cases import SMALL, market, small_bundle

import gearing
from gearing.cli import run
from gearing.policies.rules import VolatilityTarget
from gearing.studies.named.folder import is_policy_folder, notes_on, open_folder
from gearing.studies.named.policy import content_digest, named_policy
from gearing.studies.named.trial import trial_settings
from gearing.studies.runner import run_study

RULE = VolatilityTarget(1.0, column="realized_volatility_24h")
STUDY = {
    "name": "tiny", "market": {"seed": 2, "years": 1.0}, "forecast": None, "seeds": 1,
    "folds": {"train": "200d", "validate": "30d", "test": "60d", "count": 1},
    "decision": {"max_leverage": 7, "margin_share": 0.5, "direction": "short"},
    "columns": ["realized_volatility_24h", "trend_7d"],
    "agents": {"a": {"algorithm": "ppo", "steps": 512, "envs": 8, "episode_length": "20d",
                     "settings": {"parameters": {"n_steps": 16, "batch_size": 64, "n_epochs": 1}}}},
    "tracking": {"enabled": False},
}  # fmt: skip


@pytest.fixture
def bundle(tmp_path):
    return small_bundle(
        tmp_path / "bundle", RULE, SMALL.with_(direction="short"), ["realized_volatility_24h"]
    )


def test_a_bundle_is_named_by_its_folder_or_its_studys(bundle, tmp_path):
    assert is_policy_folder(str(bundle))
    assert is_policy_folder(str(tmp_path))  # which holds "bundle"
    assert not is_policy_folder("volatility_weighted")
    policy = named_policy(str(bundle), {})
    assert policy.digest == content_digest(str(bundle), {}) == named_policy(str(tmp_path), {}).digest
    with pytest.raises(ValueError, match="takes no settings, given low"):
        named_policy(str(bundle), {"low": 3})


def test_the_command_plays_a_bundle_with_its_own_settings_unless_others_are_given(bundle, capsys, tmp_path):
    import json

    given = ["market.folder=null", "market.seed=9", "market.years=0.3"]
    assert run(["backtest", str(bundle), *given, "--json", str(tmp_path / "own.json")]) == 0
    assert "not out of sample" not in capsys.readouterr().out  # a rule is not trained
    other = gearing.synthetic_market("market-b", seed=9, years=0.3)
    settings = {"direction": "short", "margin_share": 0.25, "max_leverage": 10.0}
    expected = gearing.backtest(RULE, other, **settings)
    row = json.loads((tmp_path / "own.json").read_text())
    assert row["log_growth"] == pytest.approx(expected.row["log_growth"], rel=1e-9)
    half = ["decision.margin_share=0.125", "--json", str(tmp_path / "half.json")]
    assert run(["backtest", str(bundle), *given, *half]) == 0
    halved = gearing.backtest(RULE, other, **{**settings, "margin_share": 0.125})
    row = json.loads((tmp_path / "half.json").read_text())
    assert row["log_growth"] == pytest.approx(halved.row["log_growth"], rel=1e-9)
    assert run(["backtest", str(bundle), *given, "decision.direction=long"]) == 2
    assert "write decision.direction=short" in capsys.readouterr().err


def test_the_command_plays_a_models_zip(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model("ppo").save(tmp_path / "model.zip")
    columns = f"columns=[{', '.join(COLUMNS)}]"
    given = ["market.folder=null", "market.years=0.2"]
    assert run(["backtest", "model.zip", columns, "action=target", *given]) == 0
    assert run(["backtest", "model.zip", "action=target", *given]) == 2
    assert "needs columns" in capsys.readouterr().err


def test_a_damaged_bundle_is_refused(bundle, capsys):
    (bundle / "manifest.json").write_text("{}")
    assert run(["backtest", str(bundle), "market.folder=null", "market.years=0.2"]) == 2
    assert "manifest.json" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trained_agent_plays_with_the_settings_of_its_study(tmp_path):
    from gearing.studies.reading import load_config

    done = run_study(load_config({**STUDY, "output": str(tmp_path)}))
    (trial,) = done.folder.glob("trials/*-a-seed0-*")
    policy, settings = open_folder(str(trial)), trial_settings(str(trial))
    assert settings == trial_settings(str(trial / "policy"))
    assert (settings["direction"], settings["max_leverage"]) == ("short", 7.0)
    assert trial_settings("volatility_weighted") == {}
    other = gearing.synthetic_market("market-b", seed=4, years=0.3)
    result = gearing.backtest(policy, other, **settings)
    assert (result.target <= 0.0).all()
    table = gearing.FeatureSet(["realized_volatility_24h", "trend_7d"]).compute(other)
    wild = table.values.copy()
    wild[500:, 0, 0] = 5.0
    notes = notes_on(policy, other, type(table)(**{**vars(table), "values": wild.astype(np.float32)}))
    assert any("realized_volatility_24h" in note and "first layer clips" in note for note in notes)


def test_a_study_compares_a_bundle_with_rules(bundle, tmp_path):
    from gearing.studies.reading import load_config

    config = {
        **{k: v for k, v in STUDY.items() if k != "agents"},
        "rules": {"bundle": str(bundle), "target": {"rule": "volatility_target", "target": 1.0,
                                                    "column": "realized_volatility_24h"}},
        "decision": {"max_leverage": 10, "margin_share": 0.25, "direction": "short"},
    }  # fmt: skip
    board = run_study(load_config({**config, "output": str(tmp_path / "runs")})).leaderboard
    assert board.loc["bundle", "log_growth"] == pytest.approx(board.loc["target", "log_growth"], rel=1e-9)
    assert market().symbols
