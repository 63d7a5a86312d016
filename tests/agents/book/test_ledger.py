"""The account of a book as a differentiable function, against the kernel's and against finite differences."""

import numpy as np
import pytest
import torch
from tests.features.markets import random_market

from gearing.agents.book.ledger import BookLedger
from gearing.features import FeatureSet
from gearing.simulation import SimulationConfig, Simulator

MARKET = random_market(n_bars=24 * 40, n_contracts=3, seed=4)


def simulator(market=MARKET, **changes):
    settings = {
        "direction": "free", "max_leverage": 5.0, "margin_mode": "cross", "margin_share": 0.9, "start": "first",
    }  # fmt: skip
    made = Simulator(
        market, FeatureSet(["log_return"]).compute(market), SimulationConfig(**settings | changes)
    )
    made.reset(seed=0)
    return made


def random_targets(count, slots, largest=3.0):
    """Signed targets, some of them flat; above 1 the margin limits an increase."""
    rng = np.random.default_rng(0)
    targets = rng.uniform(-largest, largest, (count, slots))
    targets[rng.random((count, slots)) < 0.15] = 0.0
    return targets


@pytest.mark.parametrize("changes", [{}, {"decision_interval": "1h"}, {"slippage": 0.0, "margin_share": 0.3}])
def test_growth_equals_the_kernels_on_paths_without_liquidation(changes):
    sim = simulator(**changes)
    targets = random_targets(sim.n_decisions, 3)
    steps, _ = sim.run(targets)
    assert steps.liquidations.sum() == 0
    assert steps.turnover.sum() > 0
    found = BookLedger(sim).returns(torch.from_numpy(targets))
    np.testing.assert_allclose(np.log1p(found.numpy()), steps.log_growth[0], rtol=0, atol=1e-13)


def test_every_member_and_every_path_is_an_account_of_its_own():
    other = random_market(n_bars=24 * 20, n_contracts=3, seed=5)
    tables = [FeatureSet(["log_return"]).compute(one) for one in (MARKET, other)]
    both = Simulator([MARKET, other], tables, simulator().config)
    alone = [simulator(MARKET), simulator(other)]
    counts = [one.n_decisions for one in alone]
    targets = np.stack([random_targets(sum(counts), 3, largest) for largest in (1.0, 3.0)])
    found = BookLedger(both).returns(torch.from_numpy(targets)).numpy()
    for member, part in ((0, 0), (1, 0), (0, 1), (1, 1)):
        own = slice(0, counts[0]) if part == 0 else slice(counts[0], None)
        steps, _ = alone[part].run(targets[member, own])
        np.testing.assert_allclose(np.log1p(found[member, own]), steps.log_growth[0], rtol=0, atol=1e-13)
        alone[part].reset(seed=0)


def test_a_stretch_begins_flat():
    sim = simulator()
    targets = torch.from_numpy(random_targets(sim.n_decisions, 3))
    whole = BookLedger(sim)
    part = whole.stretch(10, 20).returns(targets[10:20])
    flat_before = targets.clone()
    flat_before[9] = 0.0
    torch.testing.assert_close(part, whole.returns(flat_before)[10:20], rtol=0, atol=1e-12)


def test_a_contract_that_does_not_trade_costs_and_earns_nothing():
    late = MARKET.tradable.copy()
    late[: 24 * 20, 2] = False
    from dataclasses import replace

    market = replace(MARKET, tradable=late)
    sim = simulator(market)
    targets = random_targets(sim.n_decisions, 3)
    first = sim.n_decisions // 2 + 2
    without = targets.copy()
    without[:first, 2] = 0.0
    steps, _ = sim.run(without)
    found = BookLedger(sim).returns(torch.from_numpy(without))
    np.testing.assert_allclose(np.log1p(found.numpy()), steps.log_growth[0], rtol=0, atol=1e-13)


def test_the_gradient_equals_finite_differences():
    sim = simulator()
    ledger, rng = BookLedger(sim), np.random.default_rng(1)
    targets = torch.from_numpy(random_targets(sim.n_decisions, 3, 0.9)).requires_grad_()
    torch.log1p(ledger.returns(targets)).sum().backward()
    for day, contract in rng.integers(0, [sim.n_decisions, 3], (10, 2)):
        moved, step = targets.detach().clone(), 1e-6
        moved[day, contract] += step
        up = torch.log1p(ledger.returns(moved)).sum()
        moved[day, contract] -= 2.0 * step
        slope = float(up - torch.log1p(ledger.returns(moved)).sum()) / (2.0 * step)
        if float(targets[day, contract].detach()) != 0.0:  # at 0 a cost has a kink
            assert float(targets.grad[day, contract]) == pytest.approx(slope, rel=5e-3, abs=2e-6)


def test_what_the_accounting_does_not_cover_is_refused():
    with pytest.raises(ValueError, match="cross margin; set margin_mode='cross'"):
        BookLedger(simulator(margin_mode="isolated"))
    from gearing.simulation import Slippage

    with pytest.raises(ValueError, match="set impact to 0"):
        BookLedger(simulator(slippage=Slippage(impact=0.5)))
