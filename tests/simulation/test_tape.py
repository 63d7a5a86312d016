"""A tape is the same whether it was laid out at once or in pieces, in memory or in a mapped file."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from gearing.contracts import Contract, TierSchedule
from gearing.features import FeatureSet, feature, feature_set, forget_feature
from gearing.market import open_store, resample, synthetic_market
from gearing.market.store import write_store
from gearing.simulation import tape as tapes
from gearing.simulation.config import SimulationConfig, Slippage
from gearing.simulation.simulator import Simulator
from gearing.simulation.tape import build_tape
from gearing.storage.mapped import ArrayFile, cached_folder, mapped

DAY = np.timedelta64(24, "h")
COLUMNS = [
    "log_return",
    "realized_volatility_24h",
    "funding_carry_7d",
    "bollinger_width_20d",
    "momentum_side_7d",
]
COSTLY = Slippage(1e-4, 0.1, 0.5)


@pytest.fixture(scope="module")
def market():
    """Two contracts, one listed late and delisted early, with dated tiers."""
    whole = synthetic_market("market-b", seed=3, years=0.3, contracts=("AAA", "BBB"))
    tradable = whole.tradable.copy()
    tradable[:300, 1] = tradable[2500:, 1] = False
    prices = {
        name: np.where(tradable[..., None], getattr(whole, name), np.nan)
        for name in ("last", "mark", "index")
    }
    dated = tuple(
        replace(TierSchedule.flat(rate, 50), as_of=np.datetime64(day).astype(object))
        for rate, day in ((0.004, "2019-01-01"), (0.005, "2020-02-01"), (0.006, "2020-03-03"))
    )
    contracts = tuple(Contract(s, schedules=dated[k:]) for k, s in enumerate(whole.symbols))
    return whole.replace(tradable=tradable, contracts=contracts, truth=None, **prices)


@pytest.fixture
def mapped_always(monkeypatch):
    monkeypatch.setattr(tapes, "MAPPED_FROM", 0)
    monkeypatch.setattr(feature_set, "MAPPED_FROM", 0)


def assert_same(one, other):
    for name in ("rows", "settlements", "tiers", "features", "row_time", "schedules"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for a, b in zip(one.boundaries, other.boundaries, strict=True):
        np.testing.assert_array_equal(a, b)


def tape_of(markets, slippage=COSTLY, entry=None):
    tables = FeatureSet(COLUMNS).compute_all(markets)
    return build_tape(markets, tables, DAY, slippage, entry)


@pytest.mark.parametrize("block", [1, 77, 10_000])
def test_blocks_of_any_size_give_the_same_rows(monkeypatch, market, block):
    one = market.select("BBB")
    coarse = resample(one, "4h")
    expected = [
        tape_of([one, one.between("2020-02-01")]),
        tape_of([coarse]),
        tape_of([one], entry=COLUMNS[-1]),
    ]
    monkeypatch.setattr(tapes, "BLOCK", block)
    if block == 1:  # slow, so less of it
        assert_same(tape_of([coarse]), expected[1])
        return
    assert_same(tape_of([one, one.between("2020-02-01")]), expected[0])
    assert_same(tape_of([coarse]), expected[1])
    assert_same(tape_of([one], entry=COLUMNS[-1]), expected[2])


def test_a_mapped_tape_has_the_numbers_of_one_in_memory(tmp_path, market, mapped_always, monkeypatch):
    monkeypatch.setattr(tapes, "BLOCK", 500)
    monkeypatch.setattr(feature_set, "BLOCK", 700)
    one = market.select("BBB")
    write_store(tmp_path / "s", [market])
    stored = open_store(tmp_path / "s").select("BBB")
    for entry in (None, COLUMNS[-1]):
        assert_same(tape_of([stored, stored.between("2020-02-01")], entry=entry),
                    tape_of([one, one.between("2020-02-01")], entry=entry))  # fmt: skip
    assert_same(tape_of([resample(stored, "4h")]), tape_of([resample(one, "4h")]))


def test_a_simulation_on_mapped_files_gives_the_rewards_of_one_in_memory(tmp_path, mapped_always):
    whole = synthetic_market("market-b", seed=4, years=0.5, contracts=("AAA", "BBB", "CCC")).replace(
        truth=None
    )
    stored = open_store(write_store(tmp_path / "s", [whole]))
    config = SimulationConfig(episode_length="30d")
    targets = np.random.default_rng(0).uniform(0.0, 15.0, (20, 50, 1))
    made = []
    for source in (whole, stored):
        simulator = Simulator([source.select(s) for s in source.symbols], None, config, n_accounts=50)
        simulator.reset(seed=1)
        rewards = [simulator.step(t) for t in targets]
        made.append((np.stack(rewards), simulator.observations.copy()))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1], made[1][1])


def test_files_are_made_once_and_whatever_they_depend_on_makes_others(tmp_path, market, mapped_always):
    write_store(tmp_path / "s", [market])
    stored = open_store(tmp_path / "s").select("AAA")
    derived = tmp_path / "s" / "derived"

    def entries():
        return {p.name for p in derived.iterdir() if not p.name.startswith(".")}

    first = tape_of([stored])
    assert isinstance(first.rows.base, np.memmap) or not first.rows.flags.owndata
    before = entries()
    assert len(before) == 2  # features and rows
    tape_of([open_store(tmp_path / "s").select("AAA")])
    assert entries() == before
    for other in (
        lambda: tape_of([stored], Slippage(2e-4)),
        lambda: tape_of([stored], entry=COLUMNS[-1]),
        lambda: tape_of([stored.between("2020-01-02")]),
        lambda: build_tape(
            [stored], FeatureSet(COLUMNS).compute_all([stored]), np.timedelta64(12, "h"), COSTLY
        ),
    ):
        count = len(entries())
        other()
        assert len(entries()) > count
    flat = stored.replace(contracts=(replace(stored.contracts[0], schedules=(TierSchedule.flat(0.02, 20),)),))
    assert flat.cache_folder is None  # no longer what the store says
    assert flat.identity != stored.identity


def test_the_code_of_ones_own_features_cannot_be_seen_so_their_file_is_made_anew(
    tmp_path, market, mapped_always
):
    write_store(tmp_path / "s", [market])
    stored = open_store(tmp_path / "s").select("AAA")
    for value in (1.0, 2.0):

        def level(market, value=value):
            return np.full((market.n_bars, market.n_contracts), value)

        feature(unit="-", lower=0, upper=9, source="test", lookback="1h", name="own_level")(level)
        try:
            table = FeatureSet(["own_level"]).compute(stored)
        finally:
            forget_feature("own_level")
        assert (table.values[1:] == value).all()
    assert not list((tmp_path / "s" / "derived").glob("features-*"))


def test_a_mapped_table_knows_its_warm_up_and_cuts_stay_in_the_file(tmp_path, market, mapped_always):
    write_store(tmp_path / "s", [market.select("AAA")])
    table = FeatureSet(COLUMNS).compute(open_store(tmp_path / "s"))
    plain = FeatureSet(COLUMNS).compute(market.select("AAA"))
    assert table.__dict__["first_complete"] == plain.first_complete == 480  # the 20 days of a Bollinger band
    part = table.between("2020-01-11", "2020-02-01")
    assert np.shares_memory(part.values, table.values)
    assert part.first_complete == 240


def _fill(draft, rows, between):
    with ArrayFile(draft / "values.npy", np.int64, (4,)) as file:
        for k in range(rows):
            between(k)
            file.append(np.full((1, 4), k))
    return {"rows": rows}


def _keep(cache_folder, begun, between=lambda k: None):
    folder, _ = cached_folder(
        cache_folder, "entry", lambda draft: (begun.put(os.getpid()), _fill(draft, 50, between))[1]
    )
    assert mapped(folder / "values.npy").shape == (50, 4)


def _keep_slowly(cache_folder, begun):
    _keep(cache_folder, begun, lambda k: time.sleep(0.005))


def _keep_until_killed(cache_folder, begun, row):
    _keep(cache_folder, begun, lambda k: os.kill(os.getpid(), signal.SIGKILL) if k == row else None)


def test_of_several_processes_one_makes_an_entry_and_the_others_wait(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_keep_slowly, args=(tmp_path, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    queue.get(timeout=5)
    assert queue.empty()


@pytest.mark.parametrize("row", [0, 10, 49])
def test_a_killed_process_leaves_nothing_that_reads_as_whole(tmp_path, row):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    worker = context.Process(target=_keep_until_killed, args=(tmp_path, queue, row))
    worker.start()
    worker.join(30)
    assert worker.exitcode == -signal.SIGKILL
    assert not (tmp_path / "entry").exists()
    for torn in tmp_path.glob(".entry.part/values.npy"):
        assert mapped(torn).shape == (0, 4)
    _keep(tmp_path, queue)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["entry"]


def test_rows_of_another_shape_do_not_fit_an_array_file(tmp_path):
    with (
        pytest.raises(ValueError, match="do not fit"),
        ArrayFile(tmp_path / "a.npy", np.float64, (3,)) as file,
    ):
        file.append(np.zeros((2, 4)))
