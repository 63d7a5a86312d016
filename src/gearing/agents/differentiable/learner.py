"""The differentiable agent: gradients of log growth through the account mechanics.

Orders have no market impact, so equity is a differentiable function of leverage along a path. Accounts run through
the history from random starts; every update unrolls some decisions of all of them and follows the gradient of their
mean log growth.
"""

import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gearing.agents.costs import CostSchedule
from gearing.agents.devices import device_of
from gearing.agents.differentiable.compiled_unroll import CompiledLedger
from gearing.agents.differentiable.interval_data import IntervalData, interval_data
from gearing.agents.differentiable.regime_labels import RegimeLabels
from gearing.agents.differentiable.torch_ledger import Accounts, TorchLedger
from gearing.agents.learner import check_numbers, check_weights
from gearing.agents.policy.band_network import BandNetwork
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.learned import LearnedPolicy
from gearing.agents.policy.scaling import column_places, fit_scaling, named_columns
from gearing.agents.settings import AgentSettings
from gearing.features import FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import YEAR
from gearing.simulation.actions import LeverageScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.rewards import LogGrowth
from gearing.simulation.simulator import Simulator

_MEMORY = 0.05  # weight of an update in the average rate of liquidations
_LARGEST_EXCESS = 3.0  # per update, so that a bad start does not end all trading


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
    random_start : float
        Share of the episodes that begin with a random held leverage, mostly small. A flat account inside a band
        around zero never trades, so that band would get no gradient.
    liquidation_budget : float or None
        Largest probability of a liquidation within ``budget_horizon``: the price of a liquidation rises while the
        training span has more of them and falls while it has fewer (dual ascent). Only weights within budget are
        chosen, if there are any.
    budget_horizon : str
        Duration.
    budget_rate : float
        Change of the price of a liquidation [log growth] per update at twice the budget.
    """

    n_steps: int = 48
    learning_rate: float = 3e-3
    final_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    softness: float = 0.02
    random_start: float = 0.5
    liquidation_budget: float | None = None
    budget_horizon: str = "30d"
    budget_rate: float = 0.02

    def __post_init__(self) -> None:
        if self.liquidation_budget is not None and not 0.0 < self.liquidation_budget < 1.0:
            raise ValueError(
                f"liquidation_budget is {self.liquidation_budget}; it is a probability in (0, 1), or None."
            )


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
        provenance: Mapping[str, Any],
    ):
        _check_covered(config)
        self.settings, self.total = settings, total_decisions
        self.parameters = GradientParameters(**settings.parameters)
        self.simulator = Simulator(list(markets), list(tables), config.with_(action="leverage"), n_accounts=1)
        self.device = device_of(settings.device)
        self.data: IntervalData = interval_data(self.simulator).to(self.device)
        self._ends = self.data.last.cpu().numpy()
        self.ledger = TorchLedger(self.simulator, self.parameters.softness, self.device)
        compiled = len(self.simulator.contracts) == 1 and self.device.type == "cpu"
        self._compiled = CompiledLedger(self.ledger, self.data) if compiled else None
        network = _network_arguments(settings, self.simulator, tables)
        self.network = BandNetwork(**network).to(self.device)
        beliefs = int(settings.network.get("beliefs", 0))
        self._labels = RegimeLabels(self.simulator, beliefs, self.device) if beliefs else None
        scheme = {"action": "target", "max_leverage": self.simulator.config.max_leverage}
        described = PolicyDescription.of(
            settings.algorithm, self.simulator, scheme=scheme, network=network, training=provenance
        )
        self.policy = LearnedPolicy(deepcopy(self.network).to("cpu"), described)
        weights = [p for p in self.network.parameters() if p.requires_grad]
        taught = [part for member in self.network.members for part in member.regime_layers()]
        self._taught = [p for part in taught for p in part.parameters()]
        by_regimes = set(map(id, self._taught))
        self._grown = [p for p in weights if id(p) not in by_regimes]
        self.optimizer = torch.optim.Adam(
            weights, lr=self.parameters.learning_rate, weight_decay=self.parameters.weight_decay, fused=True
        )
        interval = self.simulator.interval
        self._per_year = float(YEAR / interval)
        self._episode = max(self.parameters.n_steps, _decisions(config, interval))
        self._rng = np.random.default_rng(seed)
        self._schedule = CostSchedule(settings.cost_warmup, settings.randomise, seed, total_decisions)
        self.allowed = _allowed(self.parameters, interval)
        self._seen = 0.0 if self.allowed is None else self.allowed  # liquidations per decision, averaged
        self.decisions = 0
        self._begin()

    def _begin(self) -> None:
        """Start all accounts; their first episodes are shortened at random, so that they end at different times."""
        count = self.settings.n_accounts
        self._accounts = self.ledger.open_accounts(count)
        shape = (len(self.network.members), count, self.network.memory)
        self._memory = torch.zeros(shape, device=self.device)
        self.rows = np.zeros(count, np.int64)  # of each account, where it decides next
        self._left = np.zeros(count, np.int64)
        self._place(np.ones(count, bool))
        self._left = self._rng.integers(0, self._left + 1)

    def _place(self, which: np.ndarray) -> None:
        """Start new episodes: flat, at a random decision that leaves room for one update."""
        steps, last = self.parameters.n_steps, self._ends
        n = len(last)
        fits = np.flatnonzero(last - np.arange(n) + 1 >= steps)
        if fits.size == 0:
            raise ValueError(
                f"no path of the training span has {steps} decisions; lower parameters.n_steps or train on a longer "
                "span."
            )
        count = int(which.sum())
        self.rows[which] = self._rng.choice(fits, count)
        self._left[which] = np.minimum(self._episode, last[self.rows[which]] - self.rows[which] + 1)
        mask = torch.from_numpy(which).to(self.device)
        pairs = zip(self._fresh_accounts(len(which)), self._accounts, strict=True)
        self._accounts = Accounts(
            *(torch.where(mask if new.ndim == 1 else mask[:, None], new, old) for new, old in pairs)
        )
        self._memory = self._memory * (~mask).float()[:, None]

    def _fresh_accounts(self, count: int) -> Accounts:
        """New accounts: flat, or with a random held leverage."""
        fresh, network, slots = self.ledger.open_accounts(count), self.network, len(self.ledger.tiers)
        u = self._rng.uniform(-1.0, 1.0, (count, slots))
        held = np.where(u < 0.0, network.lower, network.upper) * u**2 / slots
        held[self._rng.random(count) >= self.parameters.random_start] = 0.0
        leverage = torch.from_numpy(held).to(self.device)
        mark = self.data.mark[torch.from_numpy(self.rows).to(self.device)]
        equity = fresh.equity[:, None]
        return Accounts(
            fresh.equity,
            leverage * equity / mark,
            torch.clamp((leverage / self.ledger.share).abs(), min=1.0),
            torch.where(leverage == 0.0, 0.0, self.ledger.share * equity),
        )

    def update(self) -> dict[str, float]:
        """Unroll some decisions of every account and follow the gradient of their growth."""
        steps = self.parameters.n_steps
        over = self._left < steps
        if over.any():
            self._place(over)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        index = (torch.from_numpy(self.rows)[:, None] + torch.arange(steps)).to(self.device)
        self.ledger.costs = self._schedule.at(self.decisions)
        priced, liquidated, leverage, surprise, accounts = self.unroll(index)
        loss = -priced.mean() * self._per_year
        check_numbers({"the growth": priced.detach().cpu().numpy()}, self.decisions, self._advice())
        self.optimizer.zero_grad()
        (loss + surprise).backward()
        norm = self._clip_gradients()
        check_numbers({"the gradient's norm": float(norm)}, self.decisions, self._advice())
        self.optimizer.step()
        check_weights(self.network.named_parameters(), self.decisions, self._advice())
        self._accounts = Accounts(*(part.detach() for part in accounts))
        self.rows, self._left = self.rows + steps, self._left - steps
        self.decisions += priced.numel()
        rate = float(liquidated.mean())
        metrics = {
            "train/log_growth_per_year": -float(loss.detach()) + self.ledger.price * rate * self._per_year,
            "train/effective_leverage": float(leverage),
            "train/gradient_norm": float(norm),
            "train/liquidations_per_year": rate * self._per_year,
        }
        if self._labels is not None:
            metrics["train/belief_cross_entropy"] = float(surprise.detach())
        return metrics | self.update_price(rate)

    def _clip_gradients(self) -> Tensor:
        """Clip the gradients of the regimes and of growth separately; returns the norm of the latter."""
        clip, most = torch.nn.utils.clip_grad_norm_, self.parameters.max_grad_norm
        clip(self._taught, most)
        return clip(self._grown, most)

    def update_price(self, rate: float) -> dict[str, float]:
        """Dual ascent: change the price of a liquidation with the excess of their rate."""
        if self.allowed is None:
            return {}
        self._seen += _MEMORY * (rate - self._seen)
        step = self.parameters.budget_rate * min(self._seen / self.allowed - 1.0, _LARGEST_EXCESS)
        self.ledger.price = max(0.0, self.ledger.price + step)
        return {"train/liquidation_price": self.ledger.price, "train/budget_used": self._seen / self.allowed}

    @property
    def within_budget(self) -> bool:
        """Whether liquidations on the training span are within budget."""
        return self.allowed is None or self._seen <= self.allowed

    def unroll(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Accounts]:
        """Priced growth (b, t), liquidations (b, t), mean absolute leverage of the band's middle, loss of the
        beliefs, accounts after."""
        low, high, logits = self._edges(self.data.columns[index])
        low, high = low.double(), high.double()
        surprise = low.new_zeros(()) if self._labels is None else self._labels.loss(logits, index)
        middle = 0.5 * (low + high).detach().abs().mean()
        if self._compiled is not None:
            priced, liquidated, accounts = self._compiled.unroll(self._accounts, low, high, index)
        else:
            priced, liquidated, accounts = self._step_by_step(low, high, self.data.at(index))
        return priced, liquidated, middle, surprise, accounts

    def _step_by_step(self, low: Tensor, high: Tensor, data: IntervalData) -> tuple[Tensor, Tensor, Accounts]:
        """Several contracts: the accounting runs in torch."""
        accounts, growths, weights = self._accounts, [], []
        for t in range(data.mark.shape[1]):
            now = data.at((slice(None), t))
            held = accounts.effective_leverage(now.mark)
            target = torch.minimum(torch.maximum(held, low[:, t]), high[:, t])
            hold = (held >= low[:, t]) & (held <= high[:, t]) & (held != 0.0)
            accounts, growth, weight = self.ledger.step(accounts, target / self.ledger.share, hold, now)
            growths.append(growth - self.ledger.price * weight)
            weights.append(weight.detach())
        return torch.stack(growths, dim=1), torch.stack(weights, dim=1), accounts

    def _edges(self, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Band and beliefs of every account and decision; each member of an ensemble has its share of accounts."""
        parts = torch.tensor_split(
            torch.arange(columns.shape[0], device=self.device), len(self.network.members)
        )
        edges = []
        for member, part in enumerate(parts):
            state = self._memory[member, part] if self.network.memory else None
            low, high, after, logits = self.network.band(columns[part], member, state)
            if self.network.memory:
                self._memory[member, part] = after.detach()
            edges.append((low, high, logits))
        low, high, logits = (torch.cat(values) for values in zip(*edges, strict=True))
        return low, high, logits

    def _learning_rate(self) -> float:
        p = self.parameters
        done = min(1.0, self.decisions / self.total)
        share = 0.5 * (1.0 + math.cos(math.pi * done))
        return p.final_learning_rate + share * (p.learning_rate - p.final_learning_rate)

    def _advice(self) -> str:
        return f"Lower parameters.learning_rate (now {self.parameters.learning_rate}) or max_grad_norm."

    def state(self) -> dict[str, Any]:
        """Weights, optimiser, accounts and their positions."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "accounts": list(self._accounts),
            "memory": self._memory,
            "at": torch.from_numpy(self.rows.copy()),
            "left": torch.from_numpy(self._left.copy()),
            "draws": json.dumps(self._rng.bit_generator.state),
            "decisions": self.decisions,
            "budget": [self.ledger.price, self._seen],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._accounts = Accounts(*(part.to(self.device) for part in state["accounts"]))
        self._memory = state["memory"].to(self.device)
        self.rows, self._left = state["at"].numpy().copy(), state["left"].numpy().copy()
        self._rng.bit_generator.state = json.loads(state["draws"])
        self.decisions = state["decisions"]
        self.ledger.price, self._seen = state["budget"]


def _check_covered(config: SimulationConfig) -> None:
    """Refuse settings that this agent would ignore: it follows the gradient of log growth by its own bands."""
    if config.reward != "log_growth" and not isinstance(config.reward, LogGrowth):
        raise ValueError(
            f"reward is {config.reward!r}; the differentiable agent follows the gradient of log growth alone. Leave "
            "reward='log_growth', or train PPO."
        )
    if config.action != "leverage" and not isinstance(config.action, LeverageScheme):
        raise ValueError(
            f"action is {config.action!r}; the differentiable agent chooses a band of leverage of its own. Leave "
            "action='leverage', or train PPO."
        )


def _allowed(parameters: GradientParameters, interval: np.timedelta64) -> float | None:
    """Liquidations per decision that use up the budget, assuming independence."""
    if parameters.liquidation_budget is None:
        return None
    decisions = float(parse_duration(parameters.budget_horizon) / interval)
    return -math.log1p(-parameters.liquidation_budget) / decisions


def _decisions(config: SimulationConfig, interval: np.timedelta64) -> int:
    """Decisions of an episode; without a length, until the path ends."""
    if config.episode_length is None:
        return 10**9
    return int(parse_duration(config.episode_length) // interval)


def _network_arguments(
    settings: AgentSettings, simulator: Simulator, tables: Sequence[FeatureTable]
) -> dict[str, Any]:
    layout, config = simulator.layout, simulator.config
    market = layout.columns if settings.columns is None else named_columns(layout, settings.columns)
    unknown = [name for name in market if name not in layout.columns]
    if unknown:
        raise ValueError(
            f"agent columns {', '.join(unknown)}: the differentiable agent reads market columns, and the leverage it "
            f"holds; there are {', '.join(layout.columns)}."
        )
    shares = config.shares(len(simulator.contracts))
    most = config.max_leverage * min(shares)
    return {
        **settings.network,
        "scaling": fit_scaling(layout, tables, settings.scaling, settings.clip, market, 1.0),
        "lower": -most if config.direction in ("short", "free") else 0.0,
        "upper": 0.0 if config.direction == "short" else most,
        "shares": list(shares),
        "side": "signal" if config.signal_column else config.direction,
        "held_at": column_places(layout, "effective_leverage"),
        "signal_at": column_places(layout, config.signal_column) if config.signal_column else [],
    }
