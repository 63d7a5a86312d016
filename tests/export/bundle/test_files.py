"""A bundle is plain files with the bytes that were listed; each is read once."""

import json
import os
import shutil

import pytest
from tests.export import cases

from gearing.export import BundleError, load_bundle, verify_bundle
from gearing.export.bundle.files import write_checksums

BARS = cases.bar_table(cases.market())
FLAT = {"equity": 10_000.0, "positions": {}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return cases.network_bundle(tmp_path_factory.mktemp("bundles") / "small", 3.0)


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def relisted(folder, change):
    """The bundle with another manifest, its checksums right."""
    path = folder / "manifest.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    write_checksums(folder)
    return folder


def with_forecast(name):
    spec = {
        "column": "forecast_volatility", "recipe": "har", "horizon": "24h", "inputs": ["log_return"], "file": name,
        "per_year": 365.0, "lower": 0.0, "upper": 5.0,
    }  # fmt: skip

    def change(about):
        about["forecasts"] = [spec]
        about["columns"], about["low"], about["high"] = ["forecast_volatility"], [0.0], [5.0]
        about["features"] = []

    return change


def test_a_link_is_refused_even_to_the_right_bytes(bundle, tmp_path):
    shutil.move(bundle / "policy.onnx", tmp_path / "elsewhere.onnx")
    (bundle / "policy.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"policy\.onnx is a link; a bundle holds plain files only"):
        load_bundle(bundle)
    (bundle / "policy.onnx").unlink()
    (bundle / "policy.onnx").symlink_to("nowhere")
    with pytest.raises(BundleError, match=r"policy\.onnx is a link"):
        verify_bundle(bundle)


def test_linked_checksums_and_manifests_are_refused(bundle, tmp_path):
    for name in ("SHA256SUMS", "manifest.json"):
        content = (bundle / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        (bundle / name).unlink()
        (bundle / name).symlink_to(tmp_path / name)
        with pytest.raises(BundleError, match=f"{name} is a link"):
            load_bundle(bundle)
        (bundle / name).unlink()
        (bundle / name).write_bytes(content)


def test_folders_and_pipes_are_refused_without_waiting(bundle):
    (bundle / "policy.onnx").unlink()
    (bundle / "policy.onnx").mkdir()
    with pytest.raises(BundleError, match=r"policy\.onnx (is no plain file|cannot be read)"):
        load_bundle(bundle)
    (bundle / "policy.onnx").rmdir()
    os.mkfifo(bundle / "policy.onnx")
    with pytest.raises(BundleError, match=r"policy\.onnx is no plain file"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "name",
    ["../out.onnx", "/etc/passwd", "..", ".", "", "a\\b.onnx", "C:x", "a/b.onnx", " x", ".hidden", "con"],
)
def test_a_name_with_a_path_is_refused_in_the_manifest_and_in_the_checksums(bundle, name):
    relisted(bundle, with_forecast(name))
    with pytest.raises(BundleError, match=r"manifest\.json: the forecast .* no plain name"):
        load_bundle(bundle)
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    (bundle / "SHA256SUMS").write_text("\n".join([*lines, f"{'0' * 64}  {name}"]) + "\n")
    with pytest.raises(BundleError, match=r"SHA256SUMS, line 4: .* is not the checksum of one more file"):
        load_bundle(bundle)


def test_a_forecast_whose_file_is_not_in_the_bundle_is_refused(bundle):
    relisted(bundle, with_forecast("forecaster.onnx"))
    with pytest.raises(BundleError, match=r"lacks forecaster\.onnx, which its manifest names"):
        load_bundle(bundle)


def test_a_file_that_is_replaced_after_loading_has_no_effect(bundle):
    loaded = load_bundle(bundle)
    (bundle / "policy.onnx").write_bytes(cases.constant_graph(9.0))
    decision = loaded.decide(BARS, FLAT, now="last-bar")
    assert decision.policy_leverage == {"BTC-SYN": 3.0}
    with pytest.raises(BundleError, match=r"policy\.onnx was changed"):
        load_bundle(bundle)


def test_a_file_beyond_its_limit_is_refused(bundle, monkeypatch):
    monkeypatch.setattr("gearing.export.bundle.files.LARGEST_NETWORK", 100)
    with pytest.raises(BundleError, match=r"(onnx|md) has [\d,]+ bytes; at most 100 are read"):
        load_bundle(bundle)


def test_a_bundle_beyond_its_limit_is_refused(bundle, monkeypatch):
    monkeypatch.setattr("gearing.export.bundle.files.LARGEST_BUNDLE", 1000)
    with pytest.raises(BundleError, match="holds more than 1,000 bytes"):
        load_bundle(bundle)


def test_a_file_listed_twice_is_refused(bundle):
    text = (bundle / "SHA256SUMS").read_text()
    (bundle / "SHA256SUMS").write_text(text + text)
    with pytest.raises(BundleError, match=r"line 4: .* is not the checksum of one more file"):
        load_bundle(bundle)


def test_a_manifest_of_impossible_parts_is_refused_in_one_line(bundle):
    for change, words in (
        (lambda about: about.update(low=[]), "every column needs two bounds"),
        (lambda about: about.update(columns=["other"]), "other has none"),
        (lambda about: about.update(kind="oracle"), "kind 'oracle'"),
        (lambda about: about.update(lookback_bars="many"), "lookback_bars is 'many'"),
        (lambda about: about.pop("venue"), "the section 'venue' is missing"),
        (lambda about: about.update(lookback_bars=10**15), "a look-back of 1000000000000000 bars"),
        (lambda about: about.update(lookback_bars=10**30), "a look-back of"),
        (lambda about: about.update(bar_milliseconds=10**30), "bars of"),
        (lambda about: about.update(bar_milliseconds=3_700_000), "must be a multiple of the bar"),
        (lambda about: about.update(contracts=[]), "0 contracts"),
        (lambda about: about.update(extra=1), "no field 'extra'"),
        (lambda about: about["config"].update(extra=1), "no field 'config.extra'"),
        (lambda about: about["contracts"][0].update(tiers=[]), "no field 'contracts.0.tiers'"),
        (lambda about: about["contracts"][0].update(tick_size="Infinity"), "tick_size"),
        (lambda about: about["venue"].update(leverage_step=1e9), "leverage_step at most 1"),
        (lambda about: about["config"].update(max_leverage=-1), "max_leverage"),
        (lambda about: about["config"].update(margin_share=[0.1, 0.2]), "margin_share has 2 values"),
        (lambda about: about["config"].update(decision_interval="0h"), "decision_interval '0h'"),
        (lambda about: about["config"].update(decision_interval="1e9d"), "'1e9d' is not a duration"),
        (lambda about: about["config"].update(direction="signal:nope"), "reads a column that the bundle"),
        (lambda about: about.update(features=["nope"], columns=["nope"]), "nope"),
        (lambda about: about.update(low=[5.0]), "the lower bound of a column"),
        (lambda about: about.update(low=["NaN"]), "the lower bound of a column"),
        (lambda about: about["policy"].update(state=[10**9, 10**9]), "two counts, parts and width"),
        (lambda about: about["policy"].update(state="abc"), "two counts, parts and width"),
        (lambda about: about["policy"].update(masked_levels=[1, "a"]), "a list of leverages"),
        (lambda about: about["policy"].update(masked_levels=[]), "a list of leverages"),
        (lambda about: about.update(kind="rule", rule={"rule": "nope"}), "no rule 'nope'"),
    ):
        copy = shutil.copytree(bundle, bundle.with_name("changed"), dirs_exist_ok=True)
        with pytest.raises(BundleError, match=words) as refused:
            load_bundle(relisted(copy, change))
        assert "\n" not in str(refused.value)
