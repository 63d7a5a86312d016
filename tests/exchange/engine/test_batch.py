"""However a batch is called, its accounts get the same numbers."""

import multiprocessing

import numpy as np
import pytest
from numba import typeof

import gearing
from gearing.exchange.engine import batch
from gearing.exchange.engine.compiled import INTERPRETED
from gearing.exchange.records import guard_dtype, records, row_dtype
from gearing.simulation import SimulationConfig, Simulator

N, STEPS = 40, 60


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


def simulator(market, n_threads=1, **settings):
    given = {
        "direction": "free", "max_leverage": 50.0, "decision_interval": "8h", "episode_length": "60d",
        "ruin_fraction": 0.02, **settings,
    }  # fmt: skip
    made = Simulator(market, None, SimulationConfig(**given), n_accounts=N, n_threads=n_threads)
    made.reset(seed=3)
    return made


def played(made, guards=None):
    """Everything that every step wrote, and how many liquidations there were."""
    rng, seen, liquidations = np.random.default_rng(0), [], 0
    for _ in range(STEPS):
        targets = rng.uniform(-1.0, 1.0, (N, 1)) ** 3 * 50.0
        targets[rng.random((N, 1)) < 0.2] = np.nan
        reward = made.step(targets, guards)
        state = (made.accounts, made.positions, made.ledgers, made.steps, made.observations, reward)
        seen.append(tuple(part.tobytes() for part in state))
        liquidations += int(made.ledgers.liquidations.sum())
    return seen, liquidations


def test_code_with_more_parts_gives_the_numbers_of_code_without_them(market):
    plain, liquidations = played(simulator(market))
    # A stress that never strikes needs more parts without changing a rule that applies.
    more, _ = played(simulator(market, deleveraging_move=1e9))
    assert plain == more
    assert liquidations > 10


def test_orders_that_rest_without_a_price_change_nothing(market):
    nowhere = records((N, 1), guard_dtype)
    nowhere.stop = nowhere.take_profit = nowhere.trailing = np.nan
    assert played(simulator(market)) == played(simulator(market), nowhere)


@pytest.fixture
def threaded(monkeypatch):
    """Even a handful of accounts is worth a thread."""
    monkeypatch.setattr(batch, "STEPS_PER_THREAD", 1)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_any_number_of_threads_gives_the_numbers_of_one(market, n_threads, threaded):
    assert played(simulator(market, n_threads)) == played(simulator(market))


def test_a_batch_refuses_a_step_with_a_target_too_large_before_anybody_steps(market, threaded):
    made = simulator(market, n_threads=2)
    before = made.accounts.tobytes()
    targets = np.zeros((N, 1))
    targets[-1] = -51.0
    with pytest.raises(ValueError, match="target leverage 51 exceeds max_leverage 50"):
        made.step(targets)
    assert made.accounts.tobytes() == before


def _played_in_a_child(made, answers):
    answers.put(played(made))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_child_goes_on_without_its_parents_threads(market, threaded):
    made = simulator(market, n_threads=2)
    played(made)  # the parent's threads run
    made.reset(seed=3)
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=_played_in_a_child, args=(made, answers))
    child.start()
    of_child = answers.get()
    child.join()
    assert of_child == played(made)


@pytest.mark.skipif(INTERPRETED, reason="interpreted code has no types")
def test_a_market_in_files_runs_the_code_that_was_compiled_for_one_in_memory(tmp_path):
    """numpy forgets that a record was aligned when it reads it from a file."""
    rows = records((5, 1), row_dtype)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert typeof(mapped) != typeof(rows)
    assert typeof(batch.unwritten(mapped, row_dtype)) == typeof(batch.unwritten(rows, row_dtype))
