import json
from dataclasses import replace

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.forecasters.scoring.scores import qlike
from gearing.studies import load_config
from gearing.studies.forecast.run import findings_of, out_of_sample, run_forecast
from gearing.studies.work import Work

YAML = """# Does the weekday help?
market: {contracts: [AAA, BBB]}
models: [har, har_dow, ridge, ridge_pooled]
combinations: {both: [ridge, ridge_pooled]}
schedule: {train: 60d}
choose_before: 2024-01-01
tried_before: 7
confidence_set: {replications: 200}
excursions: {sizes: [0.03], every: 24h}
"""


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "weekday.yaml"
    place.write_text(YAML)
    return place


@pytest.fixture(scope="module")
def markets():
    shape = {"n_bars": 24 * 420, "n_contracts": 1, "start": "2023-01-01T00:00"}
    return {symbol: random_market(**shape, seed=i) for i, symbol in enumerate(("AAA", "BBB"))}


@pytest.fixture(scope="module")
def report(markets, tmp_path_factory):
    place = tmp_path_factory.mktemp("experiment") / "weekday.yaml"
    place.write_text(YAML)
    config = load_config(place)
    return run_forecast(config, Work(config, place.parent), markets)


def test_the_first_line_is_the_question_and_the_file_the_name(path):
    config = load_config(path)
    assert (config.kind, config.name, config.question) == ("forecast", "weekday", "Does the weekday help?")


def test_a_model_is_a_name_or_a_forecaster_with_settings(path):
    models = "models={har: har, strong: {forecaster: ridge, alphas: [1.0], pooled: true}}"
    config = load_config(path, [models, "combinations={}"])
    assert config.models["har"].forecaster == "har"
    assert config.models["strong"].settings == {"alphas": [1.0]}
    assert load_config(path).models["ridge_pooled"].model_dump() == {"forecaster": "ridge", "pooled": True}


def test_overrides_are_dotted(path):
    config = load_config(path, ["schedule.refit=30d", "market.contracts=[AAA]"])
    assert config.schedule.refit == "30d"
    assert config.market.contracts == ["AAA"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("horizn=24h", "no field 'horizn'. Did you mean 'horizon'"),
        ("schedule.embrgo=1d", "Did you mean 'embargo'"),
        ("schedule.length=90d", "length belongs to window: rolling"),
        ("horizon=tomorrow", "not a duration"),
        ("models=[har, rige]", "Did you mean 'ridge'"),
        ("reference=ewma", "must be one of the models"),
        ("combinations={x: [gru]}", "unknown: \\['gru'\\]"),
        ("target=finer", "needs market.finer"),
        ("intervals.level=1.5", "less than 1"),
    ],
)
def test_a_mistake_is_named_before_data_is_read(path, override, message):
    with pytest.raises(ValueError, match=message):
        load_config(path, [override])


def test_the_table_has_every_model_on_the_same_rows(report):
    assert set(report.table.index.get_level_values(0)) == {"AAA", "BBB", "all"}
    assert set(report.table.loc["all"].index) == {"har", "har_dow", "ridge", "ridge_pooled", "both"}
    assert report.table.loc["AAA"]["n_rows"].nunique() == 1
    assert report.table.loc[("all", "har"), "ratio_to_har"] == 1.0


def test_ratios_are_those_of_the_forecasts_handed_over(report):
    frame = out_of_sample(report)
    one = frame[(frame.contract == "AAA") & frame.realised.notna()]
    y = one.realised.to_numpy()
    expected = qlike(y, one.ridge.to_numpy()).mean() / qlike(y, one.har.to_numpy()).mean()
    assert report.table.loc[("AAA", "ridge"), "ratio_to_har"] == pytest.approx(expected)
    np.testing.assert_allclose(one.both, np.sqrt(one.ridge * one.ridge_pooled))
    assert (one.fitted_until <= one.known_at).all()


def test_the_choice_looks_at_the_years_before_the_cut_only(report, markets, tmp_path):
    assert report.chosen == report.table.loc["all"]["qlike_before"].idxmin()
    later = {s: _shaken_after(m, np.datetime64("2024-01-02")) for s, m in markets.items()}
    config = report.config.model_copy(update={"excursions": None})
    again = run_forecast(config, Work(config, tmp_path), later)
    assert again.chosen == report.chosen
    np.testing.assert_allclose(again.table["qlike_before"], report.table["qlike_before"], rtol=1e-9)


def _shaken_after(market, moment):
    from gearing.features.leakage import rewrite_future

    return rewrite_future(market, int(np.searchsorted(market.open_time, moment)))


def test_the_json_holds_what_the_command_promises(report):
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    promised = {"qlike", "ratio_to_har", "ratio_to_ridge", "dm_t", "mcs_p", "coverage_90", "chosen"}
    assert all(promised <= set(scores) for scores in found["models"].values())
    assert found["models"][found["chosen"]]["chosen"] is True
    assert found["configurations_tried"] == 7 + 4 + 1
    assert "configurations tried" in report.line


def test_touches_are_scored_against_both_baselines(report):
    row = report.excursions.loc[("AAA", "24h", "down", 0.03)]
    assert 0.0 < row["brier"] < 0.25
    assert {"brier_ewma", "brier_garch_t", "less_than_ewma_low", "worst_decile"} <= set(row.index)


def test_findings_are_tables_figures_metrics_and_the_chosen_models(report, tmp_path):
    findings = findings_of(report, tmp_path)
    assert set(findings.tables) == {"scores", "years", "excursions", "forecasts"}
    assert set(findings.figures) == {"forecast", "calibration", "loss", "years"}
    assert findings.metrics["AAA/har/qlike"] == report.table.loc[("AAA", "har"), "qlike"]
    assert findings.json["chosen"] == report.chosen
    assert set(findings.models) == ({"AAA", "BBB"} if report.recipe()["exports"] else set())
    for graph in findings.models.values():
        assert json.loads((graph.parent / "recipe.json").read_text())["chosen"] == report.chosen


def test_a_stopped_experiment_repeats_no_walk_and_keeps_its_models(markets, path, tmp_path):
    config = load_config(path, ["excursions=null", "models=[har, ridge]", "combinations={}"])
    first = run_forecast(config, Work(config, tmp_path), markets)
    files = sorted(tmp_path.glob("trials/*/forecast.npz"))
    assert len(files) == 4  # two models, two contracts
    stamps = [f.stat().st_mtime_ns for f in files]
    second = run_forecast(config, Work(config, tmp_path), markets)
    assert [f.stat().st_mtime_ns for f in files] == stamps
    np.testing.assert_array_equal(first.table["qlike"], second.table["qlike"])
    assert second.final_model("AAA") is not None
    files[0].write_bytes(b"damaged")
    third = run_forecast(config, Work(config, tmp_path), markets)
    assert [f.stat().st_mtime_ns for f in files[1:]] == stamps[1:]  # one walk is made again
    np.testing.assert_array_equal(first.table["qlike"], third.table["qlike"])


def test_a_target_from_finer_bars_measures_the_same_with_less_noise():
    from gearing.forecasters.targets import finer_future_variance, future_variance

    quarter = np.timedelta64(900_000, "ms")
    finer = random_market(4 * 24 * 40, n_contracts=1, bar=quarter, volatility=0.0025)
    hourly = finer.last.reshape(-1, 4, 1, 4)
    last = np.stack(
        [hourly[:, 0, :, 0], hourly[..., 1].max(axis=1), hourly[..., 2].min(axis=1), hourly[:, -1, :, 3]],
        axis=-1,
    )
    base = random_market(24 * 40, n_contracts=1)
    market = replace(base, last=last, mark=last, index=None).with_finer(finer)
    fine, coarse = finer_future_variance(market)[30:-24, 0], future_variance(market)[30:-24, 0]
    returns = np.diff(np.log(finer.close[:, 0]))
    assert fine[0] == pytest.approx((returns[4 * 31 - 1 : 4 * 55 - 1] ** 2).sum())
    assert np.isfinite(fine).all()
    assert fine.mean() == pytest.approx(coarse.mean(), rel=0.1)


def test_a_cut_before_the_first_forecast_leaves_nothing_to_choose_by(markets, path, tmp_path):
    config = load_config(
        path, ["choose_before=2023-01-05", "excursions=null", "models=[har]", "combinations={}"]
    )
    with pytest.raises(ValueError, match="nothing can choose"):
        run_forecast(config, Work(config, tmp_path), markets)


def test_a_chosen_combination_exports_as_one_model(markets, path, tmp_path):
    from gearing.features import FeatureSet

    onnxruntime = pytest.importorskip("onnxruntime")
    config = load_config(path, ["models=[har, ridge, ridge_pooled]", "excursions=null"])
    report = run_forecast(config, Work(config, tmp_path), markets)
    report = replace(report, chosen="both")
    recipe, made = report.recipe("BBB"), report.forecasts["BBB"]["both"]
    assert recipe["members"] == ["ridge", "ridge_pooled"]
    assert recipe["exports"]
    X = FeatureSet(recipe["columns"]).compute(markets["BBB"]).values[made.rows.bar_index[-5:], 0]
    np.testing.assert_allclose(report.final_model("BBB").predict(X.astype(float)), made.value[-5:], rtol=2e-5)
    session = onnxruntime.InferenceSession(report.final_model("BBB").to_onnx().SerializeToString())
    np.testing.assert_allclose(session.run(None, {"X": X})[0][:, 0], made.value[-5:], rtol=2e-5)
