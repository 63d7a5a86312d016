"""A challenger becomes champion only with evidence from the same data and code."""

import re

import numpy as np
import pytest
from tests.tracking.test_tracker import doubling_network

from gearing.tracking import Tracker, candidates, promote
from gearing.tracking.registry import write_evidence

mlflow = pytest.importorskip("mlflow")
DAYS = [str(day) for day in np.arange("2024-01-01", "2024-12-31", dtype="datetime64[D]")]
NOISE = np.random.default_rng(0).normal(0.0, 0.01, len(DAYS))
BASE = {
    "study": "btc", "policy": "ppo", "seeds": [0], "code": "c0de", "data": {"BTC": "f00d"}, "account": "acc",
    "days": DAYS, "baseline": "fixed_1x", "baseline_growth": NOISE.tolist(), "ruined": False,
}  # fmt: skip


@pytest.fixture
def register(uri, tmp_path):
    """Registers a version of the model "btc" whose daily growth is the baseline's and ``gain``."""
    pytest.importorskip("onnxruntime")
    tracker = Tracker(uri, "leverage", interval=60.0)
    network = doubling_network(tmp_path / "m.onnx")

    def one(number, gain, **changes):
        evidence = {**BASE, "growth": (NOISE + gain).tolist(), **changes}
        name, text = write_evidence(evidence)
        extra = tmp_path / f"bundle-{number}"
        extra.mkdir()
        (extra / "number.txt").write_text(str(number))
        with tracker.run(f"study-{number}") as run:
            run.log_text(text, name)
            run.log_model(
                network, extra_files=extra, register_as="btc", aliases=["challenger"], tags={"evidence": name}
            )

    yield one
    tracker.close()


def aliases(uri):
    found = mlflow.MlflowClient(uri, uri).get_registered_model("btc").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_the_first_champion_has_to_beat_the_studys_baseline(uri, register):
    register(1, gain=0.0)
    found = promote("btc", uri)
    assert (found.promoted, found.against) == (False, "fixed_1x")
    assert aliases(uri) == {"challenger": "1"}
    register(2, gain=0.001)
    found = promote("btc", uri)
    # a gain of 0.001 on every day is one of 0.365 a year, without noise
    assert found.difference.estimate == pytest.approx(0.365)
    assert found.promoted
    assert aliases(uri) == {"champion": "2"}
    tags = mlflow.MlflowClient(uri, uri).get_model_version("btc", "2").tags
    assert tags["promoted"] == str(found)
    assert "is champion now" in str(found)


def test_a_challenger_is_compared_with_the_champion_on_the_same_days(uri, register):
    register(1, gain=0.001)
    promote("btc", uri)
    register(2, gain=0.0005)  # better than the baseline, worse than the champion
    found = promote("btc", uri)
    assert (found.promoted, found.against) == (False, "version 1")
    assert found.difference.estimate == pytest.approx(-0.0005 * 365)
    assert aliases(uri) == {"champion": "1", "challenger": "2"}
    register(3, gain=0.002)
    assert promote("btc", uri).promoted
    assert aliases(uri) == {"champion": "3"}


def test_candidates_are_weighed_and_none_is_promoted(uri, register, tmp_path):
    assert candidates(f"sqlite:///{tmp_path / 'absent.db'}").empty
    assert candidates(uri).empty
    register(1, gain=0.001)
    row = candidates(uri).loc["btc"]
    assert row[["challenger", "champion", "against", "verdict"]].tolist() == ["1", None, "fixed_1x", "better"]
    assert row["log_growth"].startswith("+0.36")  # 365 x 0.001
    assert aliases(uri) == {"challenger": "1"}
    promote("btc", uri)
    register(2, gain=0.0005)
    assert candidates(uri).loc["btc"].tolist()[:3] == ["2", "1", "version 1"]
    assert candidates(uri).loc["btc", "verdict"] == "not better"
    register(3, gain=0.1, code="other")
    assert "not from the same code" in candidates(uri).loc["btc", "verdict"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"code": "other"}, "code"),
        ({"data": {"BTC": "beef"}}, "data"),
        ({"account": "other"}, "account"),
        ({"days": [f"1{day[1:]}" for day in DAYS]}, "days"),
    ],
)
def test_evidence_from_other_data_or_code_promotes_nothing(uri, register, changes, named):
    register(1, gain=0.001)
    promote("btc", uri)
    register(2, gain=0.1, **changes)
    with pytest.raises(ValueError, match=f"not from the same {named}, so it compares nothing"):
        promote("btc", uri)
    assert aliases(uri) == {"champion": "1", "challenger": "2"}


def test_a_ruined_challenger_is_refused(uri, register):
    register(1, gain=0.1, ruined=True)
    with pytest.raises(ValueError, match="ruined its account"):
        promote("btc", uri)


def test_the_champion_that_is_registered_again_challenges_nobody(uri, register, tmp_path):
    register(1, gain=0.001)
    promote("btc", uri)
    tracker = Tracker(uri, "leverage", interval=60.0)
    with tracker.run("again") as run:
        run.log_model(
            tmp_path / "m.onnx", extra_files=tmp_path / "bundle-1", register_as="btc", aliases=["challenger"]
        )
    tracker.close()
    assert aliases(uri) == {"champion": "1"}


def test_a_model_that_is_not_there_is_named_with_what_to_do(uri, tmp_path):
    for where in (uri, f"sqlite:///{tmp_path / 'absent.db'}"):
        with pytest.raises(ValueError, match=re.escape("there is no registered model 'btc' in")):
            promote("btc", where)
    assert not (tmp_path / "absent.db").exists()


def test_a_version_without_evidence_is_named(uri, tmp_path):
    pytest.importorskip("onnxruntime")
    tracker = Tracker(uri, "leverage", interval=60.0)
    with tracker.run("by hand") as run:
        run.log_model(doubling_network(tmp_path / "m.onnx"), register_as="btc", aliases=["challenger"])
    tracker.close()
    with pytest.raises(ValueError, match="btc version 1 has no evidence"):
        promote("btc", uri)
