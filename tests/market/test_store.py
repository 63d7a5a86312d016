import numpy as np
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.store import build_store, open_store, write_store
from gearing.market.writing import write_market


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=3, years=0.1, contracts=("BTCUSDT", "ETHUSDT", "SOLUSDT"))


def plain(market):
    return market._with(truth=None, index=None)


def test_a_store_gives_back_the_market(tmp_path, market):
    write_store(tmp_path / "s", (plain(market).select(s) for s in market.symbols))
    opened = open_store(tmp_path / "s")
    assert opened.fingerprint == plain(market).fingerprint
    assert opened.symbols == market.symbols


def test_a_store_reads_nothing_until_it_is_touched(tmp_path, market):
    opened = open_store(write_store(tmp_path / "s", [plain(market)]))
    assert isinstance(opened.last.base, np.memmap)
    assert np.shares_memory(opened.between("2020-01-05", "2020-01-06").last, opened.last)
    with pytest.raises(ValueError, match="read-only"):
        opened.last[0] = 1.0


def test_a_store_is_built_from_a_folder_contract_by_contract(tmp_path, market):
    write_market(market, tmp_path / "data")
    span = {"start": "2020-01-02", "end": "2020-01-20", "missing_tiers": "earliest"}
    home = build_store(tmp_path / "s", tmp_path / "data", market.symbols, "1h", **span)
    whole = load_market(tmp_path / "data", market.symbols, "1h", **span)
    assert open_store(home).fingerprint == whole._with(index=None).fingerprint


def test_a_broken_build_leaves_the_old_store_and_no_parts(tmp_path, market):
    home = write_store(tmp_path / "s", [plain(market)])
    other = plain(market).select("BTCUSDT").between("2020-01-05")
    with pytest.raises(ValueError, match="not on the store's grid"):
        write_store(home, [plain(market).select("ETHUSDT"), other])
    assert open_store(home).fingerprint == plain(market).fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is no market store"):
        open_store(tmp_path)
    with pytest.raises(ValueError, match="needs start= and end="):
        build_store(tmp_path / "s", tmp_path, ["BTCUSDT"])
    with pytest.raises(ValueError, match="at least one contract"):
        write_store(tmp_path / "s", [])
