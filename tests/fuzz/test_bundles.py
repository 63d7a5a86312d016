"""Damaged bundles, accounts, bars and arguments: a decision, or one message that says what is wrong."""

import json
import os
import shutil
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.export import cases
from tests.fuzz.mutations import (
    Refused,
    expect_result_or_message,
    fuzz,
    mutated_bytes,
    mutated_csv,
    mutated_json,
    wild_values,
)

from gearing.export import BundleError, load_bundle, verify_bundle
from gearing.export.bundle.files import write_checksums
from gearing.export.deciding.decision import Decision
from gearing.policies.controls import DailyLossLimit

SHORT, LONG = 25, 3_000
LINES = 40
BARS = cases.bar_table(cases.market()).tail(LINES).drop(columns="volume").assign(volume=1.0)
FUNDING = cases.funding_table(cases.market()).tail(9)
TABLE = BARS.to_csv(index=False)
RATES = FUNDING.to_csv(index=False)
PRICE = float(BARS.close.iloc[-1])
ACCOUNT = {
    "wallet_balance": 10_000.0,
    "peak_equity": 11_000.0,
    "positions": {
        "BTC-SYN": {"quantity": 0.05, "entry_price": PRICE, "leverage": 2.0, "margin": 2_000.0, "target": 1.0}
    },
}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return cases.network_bundle(tmp_path_factory.mktemp("bundles") / "network", 3.0)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A rule's bundle with a control that has a memory."""
    config = cases.SMALL.with_(controls=(DailyLossLimit(0.02),))
    return load_bundle(cases.small_bundle(tmp_path_factory.mktemp("bundles") / "guarded", config=config))


@pytest.fixture(scope="module")
def loaded(network):
    return load_bundle(network)


@pytest.fixture
def copy(network, tmp_path):
    return shutil.copytree(network, tmp_path / "copy")


def expect_decision(call, files=()):
    """A decision whose numbers are finite, or a message."""
    outcome = expect_result_or_message(call, files)
    if not isinstance(outcome, Refused):
        assert isinstance(outcome, Decision)
        for number in (*outcome.target_leverage.values(), *outcome.resulting_leverage.values()):
            assert np.isfinite(number)
        json.loads(outcome.to_json())
        assert str(outcome)
    return outcome


def assert_every_change_is_refused(folder, step):
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for at in range(0, len(content), step if path.name == "manifest.json" else 1):
            changed = bytearray(content)
            changed[at] ^= 1 << (at % 8)
            path.write_bytes(changed)
            with pytest.raises(BundleError, match=r"\w"):
                verify_bundle(folder)
        path.write_bytes(content)
    verify_bundle(folder)


def test_every_single_byte_of_a_bundle_matters(copy):
    assert_every_change_is_refused(copy, step=41)


@pytest.mark.slow
def test_every_single_byte_of_a_bundle_matters_long(copy):
    assert_every_change_is_refused(copy, step=1)


def test_a_bundle_with_a_file_cut_off_at_any_place_is_refused(copy):
    for path in sorted(copy.iterdir()):
        content = path.read_bytes()
        for length in range(0, len(content), max(1, len(content) // 60)):
            path.write_bytes(content[:length])
            with pytest.raises(BundleError, match=r"\w"):
                load_bundle(copy)
        path.write_bytes(content)


def test_files_that_change_places_or_become_links_are_refused(copy, tmp_path):
    for one, other in permutations(sorted(path.name for path in copy.iterdir()), 2):
        changed = shutil.copytree(copy, tmp_path / "changed")
        (changed / one).replace(changed / "aside")
        (changed / other).replace(changed / one)
        (changed / "aside").replace(changed / other)
        with pytest.raises(BundleError, match=r"\w"):
            load_bundle(changed)
        for make in (os.symlink, os.link):  # a link to the other file
            (changed / one).unlink()
            make(changed / other, changed / one)
            with pytest.raises(BundleError, match=r"\w"):
                load_bundle(changed)
        shutil.rmtree(changed)


def manifest_fuzz(network, folder, raw):
    folder = shutil.copytree(network, folder / "changed", dirs_exist_ok=True)
    (folder / "manifest.json").write_bytes(raw)
    write_checksums(folder)
    bundle = expect_result_or_message(lambda: load_bundle(folder), [folder / "manifest.json"])
    if not isinstance(bundle, Refused):
        expect_decision(lambda: bundle.decide(BARS, ACCOUNT, FUNDING, now="last-bar"))


def manifest_of(data, network):
    return data.draw(mutated_json(json.loads((network / "manifest.json").read_text())))


@given(data=st.data())
@fuzz(inputs=SHORT)
def test_a_damaged_manifest_with_right_checksums_is_refused_or_decides(network, tmp_path, data):
    manifest_fuzz(network, tmp_path, manifest_of(data, network))


@pytest.mark.slow
@given(data=st.data())
@fuzz(inputs=LONG)
def test_a_damaged_manifest_with_right_checksums_is_refused_or_decides_long(network, tmp_path, data):
    manifest_fuzz(network, tmp_path, manifest_of(data, network))


def network_fuzz(network, folder, raw):
    folder = shutil.copytree(network, folder / "changed", dirs_exist_ok=True)
    (folder / "policy.onnx").write_bytes(raw)
    write_checksums(folder)
    bundle = load_bundle(folder)
    expect_decision(lambda: bundle.decide(BARS, ACCOUNT, FUNDING, now="last-bar"))


@given(raw=mutated_bytes(cases.constant_graph(3.0)))
@fuzz(inputs=SHORT)
def test_a_damaged_network_with_right_checksums_is_refused_or_decides(network, tmp_path, raw):
    network_fuzz(network, tmp_path, raw)


@pytest.mark.slow
@given(raw=mutated_bytes(cases.constant_graph(3.0)))
@fuzz(inputs=LONG)
def test_a_damaged_network_with_right_checksums_is_refused_or_decides_long(network, tmp_path, raw):
    network_fuzz(network, tmp_path, raw)


def account_fuzz(loaded, folder, raw):
    path = folder / "account.json"
    path.write_bytes(raw)
    expect_decision(lambda: loaded.decide(BARS, path, now="last-bar"), [path])


@given(raw=mutated_json(ACCOUNT))
@fuzz(inputs=SHORT)
def test_a_damaged_account_is_refused_or_decided_on(loaded, tmp_path, raw):
    account_fuzz(loaded, tmp_path, raw)


@pytest.mark.slow
@given(raw=mutated_json(ACCOUNT))
@fuzz(inputs=LONG)
def test_a_damaged_account_is_refused_or_decided_on_long(loaded, tmp_path, raw):
    account_fuzz(loaded, tmp_path, raw)


def bars_fuzz(loaded, folder, raw):
    path = folder / "bars.csv"
    path.write_bytes(raw)
    expect_decision(lambda: loaded.decide(path, ACCOUNT, now="last-bar"), [path])


@given(raw=mutated_csv(TABLE))
@fuzz(inputs=SHORT)
def test_damaged_bars_are_refused_or_decided_on(loaded, tmp_path, raw):
    bars_fuzz(loaded, tmp_path, raw)


@pytest.mark.slow
@given(raw=mutated_csv(TABLE))
@fuzz(inputs=LONG)
def test_damaged_bars_are_refused_or_decided_on_long(loaded, tmp_path, raw):
    bars_fuzz(loaded, tmp_path, raw)


def funding_fuzz(loaded, folder, raw):
    path = folder / "funding.csv"
    path.write_bytes(raw)
    expect_decision(lambda: loaded.decide(BARS, ACCOUNT, path, now="last-bar"), [path])


@given(raw=mutated_csv(RATES))
@fuzz(inputs=SHORT // 2)
def test_damaged_funding_is_refused_or_decided_on(loaded, tmp_path, raw):
    funding_fuzz(loaded, tmp_path, raw)


@pytest.mark.slow
@given(raw=mutated_csv(RATES))
@fuzz(inputs=LONG)
def test_damaged_funding_is_refused_or_decided_on_long(loaded, tmp_path, raw):
    funding_fuzz(loaded, tmp_path, raw)


ARGUMENTS = ("now", "max_age", "max_jump", "memory", "bars", "account")


def arguments_fuzz(guarded, name, value):
    given = {"bars": BARS, "account": ACCOUNT, "now": "last-bar", name: value}
    expect_decision(lambda: guarded.decide(**given))


@given(name=st.sampled_from(ARGUMENTS), value=wild_values())
@fuzz(inputs=SHORT)
def test_wild_arguments_are_refused_or_decided_on(guarded, name, value):
    arguments_fuzz(guarded, name, value)


@pytest.mark.slow
@given(name=st.sampled_from(ARGUMENTS), value=wild_values())
@fuzz(inputs=LONG)
def test_wild_arguments_are_refused_or_decided_on_long(guarded, name, value):
    arguments_fuzz(guarded, name, value)


def memory_fuzz(guarded, data):
    decided = json.loads(guarded.decide(BARS, ACCOUNT, now="last-bar").to_json())["memory"]
    try:
        memory = json.loads(data.draw(mutated_json(decided)))
    except (ValueError, RecursionError):
        return
    expect_decision(lambda: guarded.decide(BARS, ACCOUNT, now="last-bar", memory=memory))


@given(data=st.data())
@fuzz(inputs=SHORT // 2)
def test_a_damaged_memory_is_refused_or_used(guarded, data):
    memory_fuzz(guarded, data)


@pytest.mark.slow
@given(data=st.data())
@fuzz(inputs=LONG)
def test_a_damaged_memory_is_refused_or_used_long(guarded, data):
    memory_fuzz(guarded, data)
