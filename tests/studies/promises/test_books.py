"""Books on cross margin, worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from tests.simulation.markets import contract, market

from gearing.policies.controls import RiskLimit
from gearing.studies.promises import books
from gearing.studies.promises.config import PromisesConfig

DAY = np.datetime64("2024-01-02", "D")  # the first midnight: bar 23 closes there


def two(closes_a, closes_b):
    return [market(closes, contracts=[contract(name)]) for name, closes in (("A", closes_a), ("B", closes_b))]


def flat_then(*later):
    return [100.0] * 24 + list(later) + [100.0] * (24 - len(later))


def test_a_book_loses_what_its_contracts_lose_at_the_same_hour():
    # A falls by 20 % in one hour, B rises by 10 % in the same one
    path = books.Path.of(two(flat_then(80.0), flat_then(110.0)))
    rate = np.array([0.01, 0.02])
    long, due = books.worst_moves(path, np.array([DAY]), np.array([[0.5, 0.5]]), rate, "1d")
    # lows of the bar: 80 and 100 (B opens there): 0.5 x 0.2; a book of longs has 0.5 (0.01 x 0.8 + 0.02 x 1) due
    assert long[0] == pytest.approx(0.10)
    assert due[0] == pytest.approx(0.10 + 0.5 * (0.008 + 0.02))
    hedged, _ = books.worst_moves(path, np.array([DAY]), np.array([[0.5, -0.5]]), rate, "1d")
    assert hedged[0] == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)  # the long at its low, the short at its high


def test_no_outcome_is_known_where_the_bars_end_within_the_horizon_or_without_a_book():
    path = books.Path.of(two(flat_then(), flat_then()))
    for day, weight in ((DAY + 1, 0.5), (DAY, 0.0)):
        loss, _ = books.worst_moves(path, np.array([day]), np.array([[weight, weight]]), np.zeros(2), "1d")
        assert np.isnan(loss[0])


def test_contracts_are_aligned_by_time():
    first, second = two(flat_then(), flat_then())
    path = books.Path.of([first.rows(0, 24), second.rows(12, 48)])
    assert path.close.shape == (48, 2)
    assert np.isfinite(path.close[:, 0]).sum() == 24
    assert np.isnan(path.close[:12, 1]).all()


def distances_of(down, up, budget=0.05):
    of = {(budget, 1): np.array([down]), (budget, -1): np.array([up])}
    return books.BudgetDistances(np.array([DAY]), of)


def test_the_allowed_leverage_is_that_of_the_control():
    # both contracts fall by 20 % with the budget's probability: two longs of a half each, joined at 0.85, lose
    # 0.2 sqrt(0.85 + 0.15 / 2) of the gross notional
    limit = RiskLimit(0.05, "1d", sides="long", margin_mode="cross", maintenance=0.0)
    distances = distances_of([-np.log(0.8)] * 2, [0.2] * 2)
    found = books.allowed_leverage(limit, distances, 0.05, np.array([[0.5, 0.5]]))
    assert found[0] == pytest.approx(1.0 / (0.2 * np.sqrt(0.925)))


@pytest.mark.parametrize(("leverage", "event", "met"), [
    (9.0, "liquidated", 1.0), (8.0, "liquidated", 0.0), (5.0, "half lost", 1.0), (4.0, "half lost", 0.0),
])  # fmt: skip
def test_a_book_is_liquidated_where_loss_and_maintenance_reach_its_equity(leverage, event, met):
    # a loss of 0.11 per unit of notional and 0.01 of maintenance: liquidated from 8.33x, half lost from 4.55x
    worst = np.array([0.11]), np.array([0.12])
    assert books.events_of(event, np.array([leverage]), worst)[0] == met


def test_a_book_of_named_contracts_waits_for_all_and_the_book_of_all_for_two():
    distances = distances_of([0.1, 0.1, np.nan], [0.1, 0.1, np.nan])
    three = [0, 1, 2]
    assert not books.book_weights(distances, 0.05, "long", three, whole=True).any()
    np.testing.assert_allclose(
        books.book_weights(distances, 0.05, "hedged", three, whole=False), [[0.5, -0.5, 0.0]]
    )


def test_one_contract_is_no_book():
    config = PromisesConfig.model_validate({"name": "x", "market": {"contracts": ["A"]}})
    stated = pd.DataFrame({"contract": ["A"]})
    assert books.book_table(config, stated, {}, {}).empty
