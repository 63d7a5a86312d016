"""The torch accounting against the kernel's, and its gradient against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.features.markets import random_market

from gearing.agents.costs import CostFactors
from gearing.agents.differentiable.compiled_unroll import CompiledLedger
from gearing.agents.differentiable.interval_data import interval_data
from gearing.agents.differentiable.torch_ledger import TorchLedger
from gearing.contracts import MarginTier, TierSchedule
from gearing.features import FeatureSet
from gearing.simulation import SimulationConfig, Simulator, Slippage

MARKET = random_market(n_bars=24 * 40, n_contracts=2, seed=4)
ONE = MARKET.select("C0")
COLUMNS = ["log_return", "realized_volatility_24h"]
SLIPPAGE = Slippage(constant=2e-4, range_share=0.05, impact=0.5)


def simulator(market=ONE, **changes):
    settings = {
        "direction": "free",
        "max_leverage": 5.0,
        "decision_interval": "4h",
        "margin_share": 0.6,
        "start": "first",
    }
    config = SimulationConfig(**{**settings, "slippage": SLIPPAGE, **changes})
    made = Simulator(market, FeatureSet(COLUMNS).compute(market), config)
    made.reset(seed=0)
    return made


def random_targets(count, slots, seed=0, largest=2.0):
    """Signed targets; some repeat, some are flat, some hold."""
    rng = np.random.default_rng(seed)
    targets = rng.uniform(-largest, largest, (count, slots))
    targets[rng.random((count, slots)) < 0.15] = 0.0
    targets[rng.random((count, slots)) < 0.2] = np.nan
    return targets


def torch_growth(sim, targets):
    """Log growth (n_decisions,) of the torch accounting; targets may carry a gradient."""
    data, ledger = interval_data(sim), TorchLedger(sim)
    accounts, growths = ledger.open_accounts(1), []
    for k in range(len(targets)):
        hold = torch.isnan(targets[k : k + 1])
        target = torch.nan_to_num(targets[k : k + 1])
        accounts, growth, _ = ledger.step(accounts, target, hold, data.at(torch.tensor([k])))
        growths.append(growth[0])
    return torch.stack(growths)


VARIANTS = {
    "one contract": (ONE, {}),
    "two contracts": (MARKET, {"margin_share": (0.3, 0.5)}),
    "cross": (ONE, {"margin_mode": "cross"}),
    "whole equity posted": (ONE, {"margin_share": 1.0}),
    "close only": (ONE, {"walk": "close"}),
    "settings only upwards": (ONE, {"venue": "hyperliquid"}),
    "daily": (ONE, {"decision_interval": "24h"}),
}


@pytest.mark.parametrize(("market", "changes"), VARIANTS.values(), ids=VARIANTS.keys())
def test_growth_equals_the_kernels_on_paths_without_liquidation(market, changes):
    sim = simulator(market, **changes)
    targets = random_targets(sim.n_decisions, len(sim.slots))
    found = torch_growth(sim, torch.from_numpy(targets)).numpy()
    steps, _ = sim.run(targets)
    assert steps.liquidations.sum() == 0
    assert steps.turnover.sum() > 0
    np.testing.assert_allclose(found, steps.log_growth[0], rtol=1e-9, atol=1e-11)


def test_its_gradient_equals_finite_differences_of_the_kernel():
    sim = simulator()
    targets = np.random.default_rng(1).uniform(0.5, 2.0, (sim.n_decisions, 1))[:12]
    leaf = torch.tensor(targets, requires_grad=True)
    torch_growth(sim, leaf).sum().backward()
    step = 1e-5
    for k in range(len(targets)):
        ends = []
        for change in (step, -step):
            moved = targets.copy()
            moved[k] += change
            sim.reset(seed=0)
            ends.append(sim.run(moved)[0].log_growth[0].sum())
        assert leaf.grad[k, 0] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-9)


def test_a_liquidation_costs_what_was_posted_and_no_more():
    """10x with half of equity posted on a path that falls by a fifth: half of equity is gone, as in the kernel."""
    prices = np.linspace(1.0, 0.8, ONE.n_bars)[:, None, None] * 30_000.0
    fallen = np.repeat(prices, 4, axis=2)
    market = ONE.replace(last=fallen, mark=fallen, settlements=ONE.settlements[:0], index=None)
    sim = simulator(market, margin_share=0.5, max_leverage=10.0, decision_interval="24h", slippage=0.0)
    count = sim.n_decisions
    targets = np.full((count, 1), np.nan)
    targets[0] = 10.0
    found = torch_growth(sim, torch.from_numpy(targets)).numpy()
    steps, _ = sim.run(targets)
    assert steps.liquidations.sum() == 1
    assert found.sum() == pytest.approx(steps.log_growth[0].sum(), abs=0.02)
    assert found.sum() == pytest.approx(np.log(0.5), abs=0.02)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_liquidation_of_an_order_cut_to_its_cap_costs_the_margin_of_what_was_filled(compiled):
    """10x of 10,000 asks for 100,000; the tier allows 20,000, which post 2,000: a fifth of equity is lost, not all."""
    prices = np.linspace(1.0, 0.8, ONE.n_bars)[:, None, None] * 30_000.0
    fallen = np.repeat(prices, 4, axis=2)
    tiers = (MarginTier(0.0, 20_000.0, 0.01, 0.0, 20.0), MarginTier(20_000.0, 1e9, 0.02, 200.0, 5.0))
    contract = replace(ONE.contracts[0], schedules=(TierSchedule(tiers, None, "test"),))
    market = ONE.replace(
        last=fallen, mark=fallen, settlements=ONE.settlements[:0], index=None, contracts=(contract,)
    )
    sim = simulator(market, margin_share=1.0, max_leverage=10.0, decision_interval="24h", slippage=0.0)
    targets = np.full((sim.n_decisions, 1), np.nan)
    targets[0] = 10.0
    if compiled:
        data, ledger = interval_data(sim), TorchLedger(sim)
        # The first decision trades to the band, the others leave the position inside it.
        low, high = (torch.full((1, sim.n_decisions, 1), edge) for edge in (-20.0, 20.0))
        low[0, 0] = high[0, 0] = 10.0
        index = torch.arange(sim.n_decisions)[None]
        unroll = CompiledLedger(ledger, data).unroll
        found = unroll(ledger.open_accounts(1), low.double(), high.double(), index)[0][0].numpy()
    else:
        found = torch_growth(sim, torch.from_numpy(targets)).numpy()
    steps, _ = sim.run(targets)
    assert steps.capped[0, 0] == 1
    assert steps.liquidations.sum() == 1
    assert found.sum() == pytest.approx(steps.log_growth[0].sum(), abs=0.02)
    assert found.sum() == pytest.approx(np.log(0.8), abs=0.02)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"position_mode": "hedge"}, "hedge"),
        ({"rebalance": "band(0.5)"}, "band"),
        ({"order": "maker"}, "maker"),
    ],
)
def test_what_the_accounting_does_not_cover_is_refused(changes, what):
    with pytest.raises(ValueError, match=f"does not cover .*{what}"):
        interval_data(simulator(**changes))


@pytest.mark.parametrize(
    "name", ["one contract", "cross", "whole equity posted", "settings only upwards", "daily"]
)
# A band of hardly any width trades at every decision. Then liquidations may be so soft that they weigh everywhere;
# inside a band the compiled pass leaves out how the margin that was posted earlier depends on the edges.
@pytest.mark.parametrize(("half_width", "softness"), [(0.05, 0.02), (1e-6, 0.3)])
def test_the_compiled_unroll_is_the_torch_ledger_and_so_is_its_gradient(name, half_width, softness):
    market, changes = VARIANTS[name]
    # Impact grows with wealth, whose derivative the compiled pass leaves out: tenths of a percent of the gradient.
    sim = simulator(market, **{**changes, "slippage": Slippage(constant=2e-4, range_share=0.05)})
    data, ledger = interval_data(sim), TorchLedger(sim, softness)
    ledger.costs, ledger.price = CostFactors(fees=0.7, slippage=1.5, funding=2.0), 0.3
    rng = np.random.default_rng(7)
    index = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [10, 11, 12, 13, 14, 15, 16, 17]])
    middle = rng.uniform(-1.0, 1.0, (2, 8, 1)) * sim.config.margin_share * 3.0
    results = []
    for compiled in (True, False):
        low, high = (torch.tensor(middle + d, requires_grad=True) for d in (-half_width, half_width))
        accounts = ledger.open_accounts(2)
        if compiled:
            priced, liquidated, after = CompiledLedger(ledger, data).unroll(accounts, low, high, index)
        else:
            priced, liquidated, after = torch_unroll(ledger, accounts, low, high, data.at(index))
        (priced * torch.tensor([[1.0], [2.0]])).sum().backward()
        results.append(
            (
                priced,
                liquidated,
                low.grad,
                high.grad,
                after.effective_leverage(data.end[index[:, -1]]),
                after.backing,
            )
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)
    assert (results[0][1].min() > 0.01) == (softness == 0.3)
    assert results[0][2].abs().sum() > 0


def torch_unroll(ledger, accounts, low, high, data):
    growths, weights = [], []
    for t in range(low.shape[1]):
        now = data.at((slice(None), t))
        held = accounts.effective_leverage(now.mark)
        target = torch.minimum(torch.maximum(held, low[:, t]), high[:, t])
        hold = (held >= low[:, t]) & (held <= high[:, t]) & (held != 0.0)
        accounts, growth, weight = ledger.step(accounts, target / ledger.share, hold, now)
        growths.append(growth - ledger.price * weight)
        weights.append(weight.detach())
    return torch.stack(growths, dim=1), torch.stack(weights, dim=1), accounts
