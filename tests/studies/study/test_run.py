"""A study runs once, finishes what is missing, and gives the same table again."""

import json

import numpy as np
import pytest

from gearing.evaluation.reports.tables import fitted
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study
from gearing.studies.study.leaderboard import Entry, trained_columns
from gearing.studies.study.run import read_leaderboards
from gearing.studies.study.trials import load_result

EXPERIMENT = """\
# Does a tiny study run?
market: {seed: 2, years: 2}
folds: {train: 200d, validate: 60d, test: 90d, count: 2}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
rules: [fixed_1x, fixed_20x, volatility_weighted]
agents:
  ppo:
    algorithm: ppo
    action: residual
    base: volatility_weighted
    columns: [default]
    steps: 4096
    envs: 16
    episode_length: 30d
    settings: {validate_every: 2048, parameters: {n_steps: 32, batch_size: 256, n_epochs: 1}}
seeds: 2
tracking: {enabled: false}
"""


AGENTS = EXPERIMENT.index("agents:")
SEEDS = EXPERIMENT.index("seeds:")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(EXPERIMENT)
    return folder / "tiny.yaml", [f"output={folder / 'runs'}"]


@pytest.fixture(scope="module")
def study(experiment):
    return run_study(*experiment)


def trial_stamps(study):
    return {path: path.stat().st_mtime_ns for path in (study.folder / "trials").glob("*/summary.json")}


def test_a_study_judges_rules_and_agents_on_the_same_test_bars(study):
    assert list(study.leaderboard.index) == [
        "fixed_1x", "fixed_20x", "volatility_weighted", "ppo [0]", "ppo [1]", "ppo, mean of 2 seeds",
    ]  # fmt: skip
    spans = {(r.time[0], r.time[-1]) for trial, r in study.results.items() if trial.fold == 0}
    assert len(spans) == 1
    for path in study.figures:
        assert path.stat().st_size > 10_000
    # Losing policies are shown, and a ruin is a word, not a ratio.
    assert study.leaderboard.loc["fixed_20x", "sharpe"] == "ruined"


def test_as_an_act_it_shows_agents_over_their_seeds_and_what_the_intervals_allow(study):
    shown, board = study.findings.headline, study.leaderboard
    assert shown.table.index.tolist() == ["fixed_1x", "fixed_20x", "volatility_weighted", "ppo"]
    assert shown.table.loc["ppo", "log_growth"] == board.loc["ppo, mean of 2 seeds", "log_growth"]
    assert shown.printed.index[-1] == "ppo, 2 seeds"
    lines = fitted(shown.printed, 80).splitlines()
    assert len(lines) == 2 + 4  # one block of columns
    assert shown.printed.columns[-1] == "less fixed_1x [95 %]"
    days = sum(r.daily_log_growth.size for trial, r in study.results.items() if trial.policy == "fixed_1x")
    assert shown.line.startswith(f"Growth on {days} test days. ")
    assert "ruined: fixed_20x" in shown.line
    equity, differences = shown.figure.axes
    assert "ppo, 2 seeds" in equity.get_legend_handles_labels()[1]
    assert "fixed_20x" not in [
        label.get_text() for label in differences.get_yticklabels()
    ]  # ruined: no difference


def test_a_killed_study_finishes_what_is_missing_and_repeats_nothing(experiment, study):
    # The last file of a trial: without it, it is missing.
    (lost,) = (study.folder / "trials").glob("fold1-ppo-seed1-*/summary.json")
    lost.unlink()
    kept = trial_stamps(study)
    again = run_study(*experiment)
    assert lost.exists()
    assert {path: stamp for path, stamp in trial_stamps(study).items() if path != lost} == kept
    assert again.table.equals(study.table)


def test_folds_chain_into_one_account(study):
    parts = [r for trial, r in study.results.items() if trial.policy == "fixed_1x"]
    growth = np.prod([r.equity[-1] / r.equity[0] for r in parts])
    assert study.leaderboard.loc["fixed_1x", "end_equity"] == pytest.approx(growth * 10_000.0)


def test_a_damaged_or_missing_file_of_a_finished_trial_is_refused_with_its_folder(study, tmp_path):
    config = study.config
    with pytest.raises(ValueError, match="missing or damaged"):
        load_result("x", tmp_path / "none.npz", config.simulation())
    (tmp_path / "market.npz").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match=f"Delete the folder {tmp_path}"):
        load_result("x", tmp_path / "market.npz", config.simulation())


def test_a_column_that_the_study_does_not_make_is_refused_before_data_is_read(tmp_path):
    settings = {"name": "x", "market": {"folder": str(tmp_path / "none")}, "tracking": {"enabled": False}}
    settings |= {"output": str(tmp_path), "forecast": None}
    for rule, message in (("volatility_target", "forecast is null"),):
        with pytest.raises(ValueError, match=message):
            run_study(load_config({**settings, "rules": [rule]}))


def test_the_experiment_that_ran_is_stored_and_runs_again(study):
    assert load_config(study.folder / "experiment.yaml").digest == study.config.digest


def test_results_on_disk_are_readable_without_the_package(study):
    (path,) = (study.folder / "trials").glob("fold0-fixed_1x-*/summary.json")
    assert json.loads(path.read_text())["summary"]["policy"] == "fixed_1x"


def test_leaderboards_of_several_studies_stand_side_by_side(study, tmp_path):
    board = read_leaderboards([study.folder])
    assert board.loc[(study.folder.name, "fixed_20x"), "sharpe"] == "ruined"
    with pytest.raises(ValueError, match="no leaderboard"):
        read_leaderboards([tmp_path])


def test_an_agent_of_a_finished_study_is_exported_from_its_folder(study, tmp_path):
    from gearing.export import load_bundle
    from gearing.studies.study.exporting.export import export_from_folder
    from gearing.studies.study.exporting.inputs import example_decision

    bundle = export_from_folder(study.folder, "ppo")
    assert bundle == export_from_folder(study.folder)  # the only agent
    about = load_bundle(bundle).manifest
    trained = (study.folder / "trials").glob("fold1-ppo-*/summary.json")
    assert sorted(about.provenance["seeds"]) == sorted(
        json.loads(path.read_text())["seed"] for path in trained
    )
    assert about.policy["members"] == len(about.provenance["seeds"])
    assert about.seen.span[1] <= about.evaluation["data"].split("test ")[-1]
    assert {row["horizon"] for row in about.budget["risks"]} >= {"1d", "7d"}
    assert all(row["effective_leverage"] > 0.0 for row in about.evaluation["results"])
    assert np.isfinite(example_decision(study.folder).target_leverage["BTC-SYN"])
    with pytest.raises(ValueError, match="policy 'dqn' is not in this study"):
        export_from_folder(study.folder, "dqn")
    with pytest.raises(ValueError, match="holds no experiment"):
        export_from_folder(tmp_path)


def test_a_seed_that_is_exported_alone_leaves_the_bundle_of_all_seeds_where_it_is(study):
    from gearing.export import load_bundle
    from gearing.studies.study.exporting.export import export_from_folder

    digest = load_bundle(export_from_folder(study.folder)).digest
    bundle = export_from_folder(study.folder, seed=0)
    chosen = load_bundle(bundle).manifest
    assert (chosen.provenance["seeds"], chosen.policy["members"]) == ([0], 1)
    assert (bundle.name, (study.folder / "decide-ppo-seed0").is_dir()) == ("bundle-ppo-seed0", True)
    assert load_bundle(study.folder / "bundle").digest == digest
    with pytest.raises(ValueError, match="seed 99 of ppo was not trained"):
        export_from_folder(study.folder, seed=99)


def test_a_rule_of_a_finished_study_is_exported_and_decides_as_the_rule(study, tmp_path):
    from gearing.export import load_bundle
    from gearing.policies import make_rule
    from gearing.studies.study.exporting.export import export_from_folder
    from gearing.studies.study.exporting.inputs import example_decision

    bundle = export_from_folder(study.folder, "volatility_weighted", output=tmp_path / "vw")
    decision = example_decision(study.folder, bundle)
    column = "volatility_percentile_90d"
    seen = {column: np.array([[decision.observation[column]]])}
    (expected,) = make_rule("volatility_weighted").predict(seen)[0][0]
    assert decision.policy_leverage["BTC-SYN"] == pytest.approx(expected, rel=1e-6)
    assert [row["played"] for row in load_bundle(bundle).manifest.evaluation["results"]] == [
        "volatility_weighted"
    ]
    with pytest.raises(ValueError, match="is a rule and has no seeds"):
        export_from_folder(study.folder, "volatility_weighted", seed=0)
    with pytest.raises(ValueError, match=r"exists\. Choose another --output"):
        export_from_folder(study.folder, "fixed_1x", output=tmp_path / "vw")


def test_another_bundle_in_the_place_of_an_export_is_renamed_and_not_lost(study, tmp_path):
    from shutil import copytree

    from gearing.export import load_bundle
    from gearing.export.bundle.files import write_checksums
    from gearing.studies.study.exporting.export import export_from_folder

    folder, said = tmp_path / "copy", []
    copytree(study.folder, folder)
    bundle = export_from_folder(folder, "ppo")
    about = json.loads((bundle / "manifest.json").read_text())
    about["provenance"]["trials"] = ["of another code version"]
    (bundle / "manifest.json").write_text(json.dumps(about))
    write_checksums(bundle)
    digest = load_bundle(bundle).digest
    assert load_bundle(export_from_folder(folder, "ppo", tell=said.append)).digest != digest
    assert said == [f"the bundle of before is now {folder}/bundle-{digest[:12]}"]
    assert load_bundle(folder / f"bundle-{digest[:12]}").digest == digest


def test_risk_controls_hold_in_every_trial_and_the_leaderboard_reports_what_they_did(tmp_path):
    path = tmp_path / "guarded.yaml"
    rules = "rules: {bare: {rule: fixed_20x, controls: []}, guarded: {rule: fixed_20x}}\n"
    controls = "controls: [{control: portfolio_limit, gross: 2.0}, {control: stop_loss, margin: 0.3}]\n"
    head = EXPERIMENT[: EXPERIMENT.index("rules:")]
    path.write_text(head + rules + controls + EXPERIMENT[SEEDS:])
    board = run_study(path, [f"output={tmp_path}", "folds.count=1"]).leaderboard
    assert board.loc["guarded", "controls"] == "PortfolioLimit, StopLoss"
    assert board.loc["guarded", "control_actions"] > 0
    assert board.loc["guarded", "effective_leverage"] <= 2.0 + 0.5 < board.loc["bare", "effective_leverage"]
    assert board.loc["bare", "controls"] != board.loc["bare", "controls"]  # none, so no cell


def test_an_agent_trains_and_is_judged_under_its_controls(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(EXPERIMENT + "controls: [{control: portfolio_limit, gross: 0.5}]\n")
    study = run_study(path, [f"output={tmp_path}", "folds.count=1", "seeds=1", "agents.ppo.steps=1024"])
    (agent,) = [result for trial, result in study.results.items() if trial.seed is not None]
    assert np.nanmax(agent.target) <= 1.0 + 1e-9  # half of the equity is margin
    assert "ppo" in study.table.index[-1]
    assert study.table["controls"].notna().all()


@pytest.mark.slow
def test_the_same_seeds_give_the_same_table_elsewhere(experiment, study, tmp_path):
    assert run_study(experiment[0], [f"output={tmp_path}"]).table.equals(study.table)


def test_every_trial_is_a_child_run_of_the_study(tmp_path):
    import mlflow

    path = tmp_path / "rules.yaml"
    path.write_text(EXPERIMENT[:AGENTS] + EXPERIMENT[SEEDS:])
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    overrides = [f"output={tmp_path}", "tracking.enabled=true", f"tracking.uri={uri}", "folds.count=1"]
    study = run_study(path, overrides)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("gearing").experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert len(runs) == 1 + len(study.results)
    for run in runs:
        if run not in parents:
            assert ("log_growth" in run.data.metrics) == (run.data.metrics["ruined"] == 0.0)


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    from gearing.agents.checkpoints import CheckpointFolder

    path = tmp_path / "agent.yaml"
    path.write_text(EXPERIMENT)
    settings = [
        "folds.count=1",
        "seeds=1",
        "agents.ppo.steps=2048",
        "agents.ppo.settings.checkpoint_seconds=0",
    ]
    whole = run_study(path, [f"output={tmp_path / 'whole'}", *settings])
    write, read, resumed = CheckpointFolder.write, CheckpointFolder.read, []

    def killed(folder, state):
        write(folder, state)
        raise KeyboardInterrupt

    def noted(folder):
        resumed.append(read(folder) is not None)
        return read(folder)

    monkeypatch.setattr(CheckpointFolder, "read", noted)
    monkeypatch.setattr(CheckpointFolder, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(path, [f"output={tmp_path / 'killed'}", *settings])
    monkeypatch.setattr(CheckpointFolder, "write", write)
    again = run_study(path, [f"output={tmp_path / 'killed'}", *settings])
    assert resumed == [False, True]
    assert again.leaderboard.equals(whole.leaderboard)


def test_rows_that_other_code_made_are_marked_and_the_others_are_not(tmp_path, monkeypatch):
    from gearing.storage.digest import code_digest
    from gearing.studies import experiment

    path = tmp_path / "rules.yaml"
    path.write_text(EXPERIMENT[:AGENTS] + EXPERIMENT[SEEDS:])
    settings = [f"output={tmp_path / 'runs'}", "folds.count=1"]
    first = run_study(path, settings)
    assert "code" not in first.leaderboard
    (lost,) = (first.folder / "trials").glob("fold0-fixed_1x-*/summary.json")
    lost.unlink()
    monkeypatch.setattr(experiment, "code_digest", lambda: "0123456789abcdef")
    again = run_study(path, settings, reuse=True)
    assert again.leaderboard["code"].to_dict() == {
        "fixed_1x": "", "fixed_20x": code_digest(), "volatility_weighted": code_digest(),
    }  # fmt: skip
    assert again.leaderboard.drop(columns="code").equals(first.leaderboard)


def test_every_direction_and_the_overlay_have_rows_of_their_own(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "market: {seed: 2, years: 1}\nfolds: {train: 100d, validate: 30d, test: 60d, count: 1}\nforecast: null\n"
        "rules: [fixed_1x, fixed_3x]\ndirections: {up: long, down: short}\n"
        "overlay: [{control: portfolio_limit, gross: 0.5}]\ntracking: {enabled: false}\n"
    )
    board = run_study(path, [f"output={tmp_path}"]).leaderboard
    rows = ["fixed_1x, up", "fixed_1x, up + controls", "fixed_1x, down", "fixed_1x, down + controls"]
    assert board.index.tolist()[:4] == rows
    assert board.loc["fixed_3x, up + controls", "effective_leverage"] < 0.6
    assert set(board.index[board["versus"].isna()]) == {"fixed_1x, up", "fixed_1x, down"}  # the baselines


def test_the_leaderboard_and_the_figure_say_how_long_the_chosen_weights_were_trained(study):
    board = study.leaderboard
    chosen = {}
    for path in (study.folder / "trials").glob("fold*-ppo-*/summary.json"):
        written = json.loads(path.read_text())
        chosen.setdefault(written["seed"], []).append(written["summary"]["chosen_at"])
    for seed, decisions in chosen.items():
        row = board.loc[f"ppo [{seed}]"]
        assert row["trained_decisions"] == np.mean(decisions)
        assert row["untrained"] == np.mean(np.array(decisions) == 0)
    assert {"trained", "growth vs baseline [95 %]"} <= set(study.table.columns)
    # a rule is not trained
    assert study.table.loc["fixed_1x", "trained"] == "-"


@pytest.mark.parametrize(
    ("chosen", "text"),
    [((0, 0), "untrained"), ((0, 4096), "1 of 2 untrained"), ((2048, 4096), "3,072")],
)
def test_untrained_weights_are_called_so(study, chosen, text):
    entry = Entry("ppo", "ppo", None, False, 0, None, "", chosen)
    found = trained_columns(study.config, [entry])
    assert found["trained_text"] == text
    assert found["untrained"] == sum(one == 0 for one in chosen) / 2
