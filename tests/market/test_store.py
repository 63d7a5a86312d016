import mmap
import pickle

import numpy as np
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.history.writing import write_market
from gearing.market.store import build_store, open_store, write_store


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=3, years=0.1, contracts=("BTCUSDT", "ETHUSDT", "SOLUSDT"))


def plain(market):
    return market.replace(truth=None)


def owner(array):
    """Type of what the memory of an array belongs to."""
    while isinstance(array, np.ndarray):
        array = array.base
    return type(array)


def test_a_store_gives_back_the_market(tmp_path, market):
    write_store(tmp_path / "s", (plain(market).select(s) for s in market.symbols))
    opened = open_store(tmp_path / "s")
    assert opened.fingerprint == plain(market).fingerprint
    assert opened.symbols == market.symbols


def test_a_store_reads_nothing_until_it_is_touched(tmp_path, market):
    opened = open_store(write_store(tmp_path / "s", [plain(market)]))
    assert owner(opened.last) is owner(open_store(tmp_path / "s").select("BTCUSDT").last) is mmap.mmap
    assert np.shares_memory(opened.select("ETHUSDT").last, opened.last)
    assert np.shares_memory(opened.between("2020-01-05", "2020-01-06").last, opened.last)
    with pytest.raises(ValueError, match="read-only"):
        opened.last[0] = 1.0


def test_a_store_is_built_from_a_folder_contract_by_contract(tmp_path, market):
    write_market(market, tmp_path / "data")
    span = {"start": "2020-01-02", "end": "2020-01-20", "missing_tiers": "earliest"}
    home = build_store(tmp_path / "s", tmp_path / "data", market.symbols, "1h", **span)
    whole = load_market(tmp_path / "data", market.symbols, "1h", **span)
    assert open_store(home).fingerprint == whole.fingerprint


def test_a_broken_build_leaves_the_old_store_and_no_parts(tmp_path, market):
    home = write_store(tmp_path / "s", [plain(market)])
    other = plain(market).select("BTCUSDT").between("2020-01-05")
    with pytest.raises(ValueError, match="not on the store's grid"):
        write_store(home, [plain(market).select("ETHUSDT"), other])
    assert open_store(home).fingerprint == plain(market).fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a market store"):
        open_store(tmp_path)
    with pytest.raises(ValueError, match="needs start= and end="):
        build_store(tmp_path / "s", tmp_path, ["BTCUSDT"])
    with pytest.raises(ValueError, match="at least one contract"):
        write_store(tmp_path / "s", [])


def test_a_market_travels_to_another_process_as_the_name_of_its_store(tmp_path, market):
    opened = open_store(write_store(tmp_path / "s", [plain(market)]))
    part = opened.select(["SOLUSDT"]).between("2020-01-05", "2020-01-09").renamed("part", "cut")
    sent = pickle.dumps(part)
    assert len(sent) < 10_000
    again = pickle.loads(sent)
    assert owner(again.last) is mmap.mmap
    assert (again.name, again.notes, again.fingerprint) == (part.name, part.notes, part.fingerprint)
    write_store(tmp_path / "s", [plain(market).between("2020-01-02")])
    with pytest.raises(ValueError, match="has been replaced"):
        pickle.loads(sent)


def test_identity_names_the_part_of_the_store_and_fingerprint_the_values(tmp_path, market):
    opened = open_store(write_store(tmp_path / "s", [plain(market)]))
    cuts = [opened, opened.select("BTCUSDT"), opened.select("ETHUSDT"), opened.between("2020-01-02"),
            opened.between(None, "2020-02-02"), opened.with_finer(None)]  # fmt: skip
    assert len({cut.identity for cut in cuts}) == len(cuts) - 1  # the last is the first again
    assert opened.select("BTCUSDT").fingerprint == plain(market).select("BTCUSDT").fingerprint
    assert opened.replace(volume=2 * opened.volume).origin is None


def test_an_index_that_one_contract_lacks_is_left_out(tmp_path, market):
    parts = [plain(market).select(s) for s in market.symbols]
    parts[1] = parts[1].replace(index=None)
    opened = open_store(write_store(tmp_path / "s", parts))
    assert opened.index is None
    assert not (tmp_path / "s" / "index.npy").exists()


def test_a_folder_of_other_things_is_not_overwritten(tmp_path, market):
    (tmp_path / "precious").mkdir()
    with pytest.raises(ValueError, match="is not a market store"):
        write_store(tmp_path / "precious", [plain(market)])


@pytest.mark.parametrize("damage", ["{}", "[]", "nothing", '{"layout": 0}'])
def test_a_store_with_a_damaged_description_is_named(tmp_path, market, damage):
    target = write_store(tmp_path / "store", [plain(market)])
    (target / "whole.json").write_text(damage)
    with pytest.raises(ValueError, match=r"whole\.json|not a store"):
        open_store(target)


def test_a_store_with_a_damaged_array_is_named(tmp_path, market):
    target = write_store(tmp_path / "store", [plain(market)])
    (target / "last.npy").write_bytes(b"half")
    with pytest.raises(ValueError, match="do not fit; build the store again"):
        open_store(target)
