"""The differentiable agent: gradients of log growth through the account's own mechanics.

The market does not answer, so equity is a differentiable function of leverage along a path. Accounts walk on
through the history from random starts; every update unrolls some decisions of all of them and follows the
gradient of their mean log growth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gearing.agents.band_network import BandNetwork
from gearing.agents.compiled_unroll import CompiledLedger
from gearing.agents.course import Course, course_of
from gearing.agents.health import check_numbers, check_weights
from gearing.agents.learned import LearnedPolicy, PolicyDescription
from gearing.agents.scaling import fit_scaling
from gearing.agents.settings import AgentSettings
from gearing.agents.torch_ledger import Accounts, TorchLedger
from gearing.features import FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

_YEAR = np.timedelta64(365, "D")


@dataclass(frozen=True)
class GradientParameters:
    """Parameters of the algorithm.

    Parameters
    ----------
    n_steps : int
        Decisions unrolled in an update.
    learning_rate, final_learning_rate : float
        Of Adam; falls to the second over the budget (cosine).
    weight_decay : float
    max_grad_norm : float
    softness : float
        Width of the smoothed liquidation, see `TorchLedger`.
    cost_warmup : float
        Part of the budget over which fees and slippage rise from nothing to their full size. With full costs
        from the start an agent that knows nothing yet learns first that trading costs, and then trades no more.
    random_start : float
        Part of the episodes that begin with a random leverage held, most of them small. A flat account inside a band
        around zero never trades, so nothing would ever move that band.
    """

    n_steps: int = 48
    learning_rate: float = 3e-3
    final_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    softness: float = 0.02
    cost_warmup: float = 0.4
    random_start: float = 0.5


class DifferentiableLearner:
    """Trains a `BandNetwork`; parameters as those of ``SB3Learner``."""

    def __init__(
        self,
        settings: AgentSettings,
        markets: Sequence[MarketData],
        tables: Sequence[FeatureTable],
        config: SimulationConfig,
        seed: int,
        total_decisions: int,
        facts: Mapping[str, Any],
    ):
        self.settings, self.total = settings, total_decisions
        self.parameters = _parameters(settings.parameters)
        self.simulator = Simulator(list(markets), list(tables), config.with_(action="leverage"), n_accounts=1)
        self.course: Course = course_of(self.simulator)
        self.ledger = TorchLedger(self.simulator, self.parameters.softness)
        single = len(self.simulator.contracts) == 1
        self._compiled = CompiledLedger(self.ledger, self.course) if single else None
        network = _network_arguments(settings, self.simulator, tables)
        self.network = BandNetwork(**network)
        self.policy = LearnedPolicy(self.network, _describe(settings, self.simulator, network, facts))
        weights = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            weights, lr=self.parameters.learning_rate, weight_decay=self.parameters.weight_decay
        )
        interval = self.simulator.interval
        self._per_year = float(_YEAR / interval)
        self._episode = max(self.parameters.n_steps, _decisions(config, interval))
        self._rng = np.random.default_rng(seed)
        self.decisions = 0
        self._begin()

    # ------------------------------------------------------------------------------------------------ accounts

    def _begin(self) -> None:
        """Place all accounts; their first episodes are cut short at random, so that they end at different times."""
        count = self.settings.n_accounts
        self._accounts = self.ledger.open_accounts(count)
        self._memory = torch.zeros(len(self.network.members), count, self.network.memory)
        self._at = np.zeros(count, np.int64)
        self._left = np.zeros(count, np.int64)
        self._place(np.ones(count, bool))
        self._left = self._rng.integers(0, self._left + 1)

    def _place(self, which: np.ndarray) -> None:
        """Start new episodes: flat, at a random decision that leaves room for one update."""
        steps, n = self.parameters.n_steps, len(self.course.last)
        last = self.course.last.numpy()
        fits = np.flatnonzero(last - np.arange(n) + 1 >= steps)
        if fits.size == 0:
            raise ValueError(
                f"no path of the training span has {steps} decisions; lower parameters.n_steps or train on a longer "
                "span."
            )
        count = int(which.sum())
        self._at[which] = self._rng.choice(fits, count)
        self._left[which] = np.minimum(self._episode, last[self._at[which]] - self._at[which] + 1)
        mask = torch.from_numpy(which)
        pairs = zip(self._fresh_accounts(len(which)).parts(), self._accounts.parts(), strict=True)
        self._accounts = Accounts(
            *(torch.where(mask if new.ndim == 1 else mask[:, None], new, old) for new, old in pairs)
        )
        self._memory = self._memory * (~mask).float()[:, None]

    def _fresh_accounts(self, count: int) -> Accounts:
        """Accounts that begin at their decision: flat, or with a random leverage held."""
        fresh, network, slots = self.ledger.open_accounts(count), self.network, len(self.ledger.tiers)
        u = self._rng.uniform(-1.0, 1.0, (count, slots))
        held = np.where(u < 0.0, network.lower, network.upper) * u**2 / slots
        held[self._rng.random(count) >= self.parameters.random_start] = 0.0
        leverage = torch.from_numpy(held)
        mark = self.course.mark[torch.from_numpy(self._at)]
        equity = fresh.equity[:, None]
        return Accounts(
            fresh.equity,
            leverage * equity / mark,
            torch.clamp((leverage / self.ledger.share).abs(), min=1.0),
            torch.where(leverage == 0.0, 0.0, self.ledger.share * equity),
        )

    # ------------------------------------------------------------------------------------------------ learning

    def update(self) -> dict[str, float]:
        """Unroll some decisions of every account and follow the gradient of their growth."""
        steps = self.parameters.n_steps
        over = self._left < steps
        if over.any():
            self._place(over)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        index = torch.from_numpy(self._at)[:, None] + torch.arange(steps)
        self.ledger.cost = self._cost()
        growth, leverage, accounts = self._unroll(index)
        loss = -growth.mean() * self._per_year
        check_numbers({"the growth": growth.detach().numpy()}, self.decisions, self._advice())
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.parameters.max_grad_norm)
        check_numbers({"the gradient's norm": float(norm)}, self.decisions, self._advice())
        self.optimizer.step()
        check_weights(self.network.named_parameters(), self.decisions, self._advice())
        self._accounts = accounts.detach()
        self._at, self._left = self._at + steps, self._left - steps
        self.decisions += growth.numel()
        return {
            "train/log_growth_per_year": -float(loss.detach()),
            "train/effective_leverage": float(leverage),
            "train/gradient_norm": float(norm),
        }

    def _unroll(self, index: Tensor) -> tuple[Tensor, Tensor, Accounts]:
        """Log growth (b, t), mean absolute leverage of the band's middle, accounts at the end."""
        low, high = (edge.double() for edge in self._edges(self.course.columns[index]))
        middle = 0.5 * (low + high).detach().abs().mean()
        if self._compiled is not None:
            growth, accounts = self._compiled.unroll(self._accounts, low, high, index)
            return growth, middle, accounts
        growth, accounts = self._step_by_step(low, high, self.course.at(index))
        return growth, middle, accounts

    def _step_by_step(self, low: Tensor, high: Tensor, course: Course) -> tuple[Tensor, Accounts]:
        """Several contracts: every operation of the accounting is torch's."""
        accounts, growths = self._accounts, []
        for t in range(course.mark.shape[1]):
            now = course.step(t)
            held = accounts.effective_leverage(now.mark)
            target = torch.minimum(torch.maximum(held, low[:, t]), high[:, t])
            hold = (held >= low[:, t]) & (held <= high[:, t]) & (held != 0.0)
            accounts, growth = self.ledger.step(accounts, target / self.ledger.share, hold, now)
            growths.append(growth)
        return torch.stack(growths, dim=1), accounts

    def _edges(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Band of every account and decision; each member of an ensemble leads its own part of the accounts."""
        parts = torch.tensor_split(torch.arange(columns.shape[0]), len(self.network.members))
        lows, highs = [], []
        for member, part in enumerate(parts):
            state = self._memory[member, part] if self.network.memory else None
            low, high, after = self.network.band(columns[part], member, state)
            if self.network.memory:
                self._memory[member, part] = after.detach()
            lows.append(low)
            highs.append(high)
        return torch.cat(lows), torch.cat(highs)

    def _learning_rate(self) -> float:
        p = self.parameters
        done = min(1.0, self.decisions / self.total)
        share = 0.5 * (1.0 + math.cos(math.pi * done))
        return p.final_learning_rate + share * (p.learning_rate - p.final_learning_rate)

    def _cost(self) -> float:
        """Part of the costs that is charged now."""
        return min(1.0, self.decisions / max(self.parameters.cost_warmup * self.total, 1.0))

    def _advice(self) -> str:
        return f"Lower parameters.learning_rate (now {self.parameters.learning_rate}) or max_grad_norm."

    # ------------------------------------------------------------------------------------------------ checkpoints

    def state(self) -> dict[str, Any]:
        """Weights, optimiser, accounts, and where they are."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "accounts": list(self._accounts.parts()),
            "memory": self._memory,
            "at": torch.from_numpy(self._at.copy()),
            "left": torch.from_numpy(self._left.copy()),
            "draws": json.dumps(self._rng.bit_generator.state),
            "decisions": self.decisions,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put everything back where ``state`` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._accounts = Accounts(*state["accounts"])
        self._memory = state["memory"]
        self._at, self._left = state["at"].numpy().copy(), state["left"].numpy().copy()
        self._rng.bit_generator.state = json.loads(state["draws"])
        self.decisions = state["decisions"]


def _parameters(given: Mapping[str, Any]) -> GradientParameters:
    from difflib import get_close_matches

    known = list(GradientParameters.__dataclass_fields__)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
            raise ValueError(f"differentiable has no parameter {name!r}. {hint}")
    return GradientParameters(**given)


def _decisions(config: SimulationConfig, interval: np.timedelta64) -> int:
    """Decisions of an episode; without a length, very many: the path's end ends it."""
    if config.episode_length is None:
        return 10**9
    return int(parse_duration(config.episode_length) // interval)


def _network_arguments(
    settings: AgentSettings, simulator: Simulator, tables: Sequence[FeatureTable]
) -> dict[str, Any]:
    layout, config = simulator.layout, simulator.config
    if config.signal_column is not None:
        raise ValueError(
            f"direction {config.direction!r}: the differentiable agent takes one side (long, short) or "
            "chooses it (free)."
        )
    market = layout.columns if settings.columns is None else settings.columns
    unknown = [name for name in market if name not in layout.columns]
    if unknown:
        raise ValueError(
            f"agent columns {', '.join(unknown)}: the differentiable agent reads market columns, and the leverage it "
            f"holds; there are {', '.join(layout.columns)}."
        )
    scaling = fit_scaling(layout, tables, settings.scaling, settings.clip, market, 1.0)
    shares = config.shares(len(simulator.contracts))
    most = config.max_leverage * min(shares)
    held = layout.locate("effective_leverage")
    return {
        **settings.network,
        "scaling": {
            "centre": scaling.centre.tolist(), "spread": scaling.spread.tolist(), "keep": scaling.keep.tolist(),
            "clip": scaling.clip,
        },
        "lower": 0.0 if config.direction == "long" else -most,
        "upper": 0.0 if config.direction == "short" else most,
        "shares": list(shares),
        "side": config.direction,
        "held_at": list(range(layout.size)[held]) if isinstance(held, slice) else [held],
    }  # fmt: skip


def _describe(
    settings: AgentSettings, simulator: Simulator, network: Mapping[str, Any], facts: Mapping[str, Any]
) -> PolicyDescription:
    layout = simulator.layout
    return PolicyDescription(
        algorithm=settings.algorithm,
        names=layout.names,
        low=tuple(layout.low.tolist()),
        high=tuple(layout.high.tolist()),
        columns=layout.columns,
        slots=simulator.slots,
        scheme={"action": "target", "max_leverage": simulator.config.max_leverage},
        network=dict(network),
        training=dict(facts),
    )
