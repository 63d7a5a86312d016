"""The agent ``differentiable_book``: policies of many contracts, trained through the account of the book itself.

Every update plays the whole training span once, for all members of the ensemble together, resamples years from the
returns in blocks, and follows the gradient of their growth at a budget of drawdown, or of growth alone.
"""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gearing.agents.book.ledger import BookLedger
from gearing.agents.book.years import BudgetPrice, growth_and_drawdown, resampled
from gearing.agents.costs import CostSchedule
from gearing.agents.learner import check_numbers, check_weights
from gearing.agents.policy.book_network import BookNetwork
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.learned import LearnedPolicy, describe_scheme
from gearing.agents.policy.scaling import named_columns, scaling_of
from gearing.agents.settings import AgentSettings
from gearing.evaluation.playing import market_view
from gearing.features import FeatureTable, parse_duration
from gearing.features.table import AVAILABLE
from gearing.market.data import MarketData
from gearing.market.timing import YEAR
from gearing.simulation.actions import LeverageScheme, ResidualScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.rewards import LogGrowth
from gearing.simulation.simulator import Simulator

_TRAINING_PASSES = 1  # an error of some millionths of a return


@dataclass(frozen=True)
class BookParameters:
    """Parameters of the algorithm.

    Parameters
    ----------
    learning_rate, final_learning_rate : float
        Of Adam; falls to the second over the budget (cosine).
    max_grad_norm : float
        Of each member.
    penalty : float
        Weight of the squared distance of the weights (not the biases) from their start, over the number of years of
        history: the precision of a prior around the untrained policy, so that it counts less the more history there
        is.
    constant : float
        Share of the penalty that acts on the constant where a linear function of exposures begins: that contracts rise
        in the long run is more plausible than that any one column foretells them.
    budget : float or None
        Mean largest drawdown of an episode; None follows growth alone, at scale 1.
    budget_rate : float
        Step of the scale towards the budget.
    mean_block : float
        Mean block of resampled decisions.
    span : int
        Most decisions that are played in an update: all of a shorter history, else a stretch drawn for the update.
    drop : float
        Share of the contracts that a member does without in an update.
    """

    learning_rate: float = 2e-2
    final_learning_rate: float = 1e-3
    max_grad_norm: float = 1.0
    penalty: float = 1.0
    constant: float = 1.0
    budget: float | None = 0.25
    budget_rate: float = 0.5
    mean_block: float = 20.0
    span: int = 2000
    drop: float = 0.0

    def __post_init__(self) -> None:
        if self.budget is not None and not 0.0 < self.budget < 1.0:
            raise ValueError(f"parameters.budget is {self.budget}; it must be a fraction in (0, 1), or null.")
        if not 0.0 <= self.drop < 1.0:
            raise ValueError(f"parameters.drop is {self.drop}; it must be in [0, 1).")
        if not self.constant >= 0.0:
            raise ValueError(f"parameters.constant is {self.constant}; it must be 0 or more.")
        if self.span < 2:
            raise ValueError(f"parameters.span is {self.span}; it must be at least 2 decisions.")
        if not self.mean_block >= 1.0:
            raise ValueError(f"parameters.mean_block is {self.mean_block}; it must be 1 or more.")


class BookLearner:
    """Trains a `BookNetwork`; parameters as those of ``SB3Learner``.

    Member k of the ensemble has the seed ``seed`` + k for its weights and its resampled years.
    """

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
        _check_covered(settings, config)
        self.settings, self.total = settings, total_decisions
        self.parameters = BookParameters(**settings.parameters)
        played = config.with_(rebalance="every_decision", controls=())
        self.simulator = Simulator(list(markets), list(tables), played, n_accounts=1)
        self.ledger = BookLedger(self.simulator)
        arguments = _network_arguments(settings, self.simulator, self.ledger)
        self.network = BookNetwork(**arguments)
        self.network.initialise([seed + k for k in range(self.network.members)])
        self._per_year = float(YEAR / self.simulator.interval)
        self._blocks = self.ledger.columns.reshape(len(self.ledger.columns), len(self.simulator.slots), -1)
        if self.network.output == "exposure":
            moves = (self.ledger.prices.end - 1.0).float()
            self.network.fit_gains(self._blocks, moves, self._per_year)
            self._begin_at_mean_variance(moves, seed)
        self._start = [weight.detach().clone() for weight in self.network.weights]
        scheme = self.simulator.scheme
        described = {"action": "target"} if isinstance(scheme, LeverageScheme) else describe_scheme(scheme)
        about = PolicyDescription.of(
            settings.algorithm, self.simulator, scheme=described, network=arguments, training=provenance
        )
        self.policy = LearnedPolicy(deepcopy(self.network), about)
        self._rule, self._side = _rule_of(self.simulator), _side_of(config)
        self._length = _decisions(config, self.simulator.interval)
        self._seeds = [seed + k for k in range(self.network.members)]
        p = self.parameters
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=p.learning_rate)
        self.budget = None if p.budget is None else BudgetPrice(self.network.members, p.budget, p.budget_rate)
        self._schedule = CostSchedule(settings.cost_warmup, settings.randomise, seed, total_decisions)
        self.decisions = 0

    def _begin_at_mean_variance(self, moves: Tensor, seed: int) -> None:
        """Begin a linear function at the ridge solution of mean less half the variance, without costs.

        The books of the inputs are its assets (Brandt, Santa-Clara and Valkanov, 2009), the penalty over the years of
        history its ridge. Each member takes a block resample of the history of its own.
        """
        if self.settings.network.get("layers"):
            return
        earned = self.network.input_returns(self._blocks, moves).numpy().astype(np.float64) * self._per_year
        n, p = len(earned), self.parameters
        ridge = np.full(earned.shape[1], p.penalty * self._per_year / n)
        ridge[-1] *= p.constant
        for k in range(self.network.members):
            rng = np.random.default_rng([seed + k, 2])
            sample = earned[resampled(n, n, 1, p.mean_block, rng)[0]]
            second = sample.T @ sample / n / self._per_year + np.diag(np.maximum(ridge, 1e-6))
            self.network.set_linear(k, np.linalg.solve(second, sample.mean(axis=0)))

    def update(self) -> dict[str, float]:
        """Play the training span, resample years and follow the gradient of their growth."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        draws = [np.random.default_rng([one, self.decisions, 5]) for one in self._seeds]
        start, stop = self._stretch()
        ledger = self.ledger.stretch(start, stop)
        ledger.costs = self._schedule.at(self.decisions)
        leverage = self._dropped(self.leverage(start, stop), draws)
        returns = ledger.returns(leverage, _TRAINING_PASSES)
        paths = self._paths(returns, draws)
        loss, growth, drawdown = self._loss(paths)
        check_numbers({"the growth": growth.numpy()}, self.decisions, self._advice())
        self.optimizer.zero_grad()
        (loss + self._penalty()).backward()
        norm = self._clip_gradients()
        check_numbers({"the gradient's norm": norm}, self.decisions, self._advice())
        self.optimizer.step()
        check_weights(self.network.named_parameters(), self.decisions, self._advice())
        self.decisions += self.settings.n_accounts * self._length
        scale = self._take_scale()
        return {
            "train/log_growth_per_year": float(growth.mean()) * self._per_year,
            "train/mean_largest_drawdown": float(drawdown.mean()),
            "train/scale": float(scale.mean()),
            "train/gradient_norm": norm,
        }

    def _take_scale(self) -> Tensor:
        """The scale of the budget; of exposures it becomes part of the network, while a rule's stays outside."""
        if self.budget is None:
            return self.network.scale
        if self.network.output == "factor":
            return self.budget.scale
        self.network.scale.mul_(self.budget.scale.float())
        self.budget.scale = torch.ones_like(self.budget.scale)
        return self.network.scale

    def leverage(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Signed targets (members, n_decisions, n_contracts) float64 of decisions of the training span."""
        actions = self.network.of_members(self._blocks[start:stop]).double()
        if self._rule is None:
            return actions * self._side
        most = self.simulator.scheme.max_leverage  # type: ignore[attr-defined]  # of a residual scheme
        return torch.clamp((1.0 + actions) * self._rule[start:stop], -most, most) * self._side

    def _stretch(self) -> tuple[int, int]:
        """First decision of an update, and the one after its last."""
        n, span = len(self._blocks), self.parameters.span
        if n <= span:
            return 0, n
        start = int(np.random.default_rng([self._seeds[0], self.decisions, 6]).integers(0, n - span + 1))
        return start, start + span

    def _dropped(self, leverage: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
        """Without some contracts, drawn for each member."""
        if self.parameters.drop == 0.0:
            return leverage
        traded = np.stack([rng.random(leverage.shape[-1]) >= self.parameters.drop for rng in draws])
        return leverage * torch.from_numpy(traded).double()[:, None, :]

    def _paths(self, returns: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
        """Resampled years (members, n_paths, n_decisions)."""
        n, count = returns.shape[1], self.settings.n_accounts
        places = [resampled(n, self._length, count, self.parameters.mean_block, rng) for rng in draws]
        return torch.stack([one[torch.from_numpy(at)] for one, at in zip(returns, places, strict=True)])

    def _loss(self, paths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.budget is not None:
            return self.budget.loss(paths)
        growth, drawdown = growth_and_drawdown(paths, torch.ones(len(paths), dtype=torch.float64))
        growth, drawdown = growth.mean(dim=1), drawdown.mean(dim=1)
        return -growth.sum(), growth.detach(), drawdown.detach()

    def _penalty(self) -> Tensor:
        """A prior's share of one decision, summed over the members."""
        pairs = zip(self.network.weights, self._start, strict=True)
        squares = torch.stack([((weight - start).double() ** 2).sum() for weight, start in pairs]).sum()
        return 0.5 * self.parameters.penalty * squares / len(self._blocks)

    def _clip_gradients(self) -> float:
        """Clip the gradient of each member; returns the largest norm before."""
        grads = [p.grad for p in self.network.parameters() if p.grad is not None]
        norms = torch.sqrt(torch.stack([(g**2).flatten(1).sum(dim=1) for g in grads]).sum(dim=0))
        factor = torch.clamp(self.parameters.max_grad_norm / (norms + 1e-12), max=1.0)
        for g in grads:
            g.mul_(factor[:, None, None])
        return float(norms.max())

    def _learning_rate(self) -> float:
        p = self.parameters
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.decisions / self.total)))
        return p.final_learning_rate + share * (p.learning_rate - p.final_learning_rate)

    def _advice(self) -> str:
        return f"Lower parameters.learning_rate (now {self.parameters.learning_rate}) or max_grad_norm."

    @property
    def within_budget(self) -> bool:
        """True: the budget is met by a scale, not by choosing weights."""
        return True

    def state(self) -> dict[str, Any]:
        """Weights, optimiser and scale."""
        scale = None if self.budget is None else self.budget.scale
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "decisions": self.decisions,
            "scale": scale,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.decisions = state["decisions"]
        if self.budget is not None:
            self.budget.scale = state["scale"].clone()


def _check_covered(settings: AgentSettings, config: SimulationConfig) -> None:
    """Refuse settings that this agent would ignore."""
    if config.reward != "log_growth" and not isinstance(config.reward, LogGrowth):
        raise ValueError(
            f"reward is {config.reward!r}; differentiable_book follows the gradient of log growth on a budget of "
            "drawdown. Leave reward='log_growth', and set parameters.budget."
        )
    if settings.device != "cpu":
        raise ValueError(
            f"device is {settings.device!r}; differentiable_book trains on the CPU. Leave it out."
        )
    if config.signal_column is not None:
        raise ValueError(
            f"direction is {config.direction!r}; differentiable_book trades long, short or free books."
        )


def _network_arguments(settings: AgentSettings, simulator: Simulator, ledger: BookLedger) -> dict[str, Any]:
    """Arguments of the network: what the settings say, and what is fitted on the training span."""
    layout, config, scheme = simulator.layout, simulator.config, simulator.scheme
    given = dict(settings.network)
    volatility = given.pop("volatility", None)
    region = bool(given.pop("known_region", False))
    wanted = layout.columns if settings.columns is None else named_columns(layout, settings.columns)
    unknown = [name for name in wanted if name not in layout.columns]
    if unknown:
        raise ValueError(
            f"agent columns {', '.join(unknown)}: differentiable_book reads market columns; there are "
            f"{', '.join(layout.columns)}."
        )
    keep = [layout.columns.index(name) for name in wanted if name != AVAILABLE]
    factor = isinstance(scheme, ResidualScheme)
    if not factor and not isinstance(scheme, LeverageScheme):
        raise ValueError(
            "differentiable_book takes action='residual' with a base rule, or action='leverage'."
        )
    if not factor and volatility not in layout.columns:
        raise ValueError(
            f"network.volatility is {volatility!r}; with action='leverage' name the column that exposures are divided "
            f"by; there are {', '.join(layout.columns)}."
        )
    available = layout.columns.index(AVAILABLE) if AVAILABLE in layout.columns else None
    blocks = ledger.columns.reshape(len(ledger.columns), len(simulator.slots), -1).numpy()
    seen = blocks if available is None else blocks[blocks[..., available] > 0.5]
    fitted = scaling_of(seen.reshape(-1, blocks.shape[-1]).astype(np.float64), settings.scaling)
    arguments = {
        **given,
        "columns": len(layout.columns),
        "scaling": {**fitted, "keep": keep, "clip": settings.clip},
        "output": "factor" if factor else "exposure",
        "available_at": available,
        "volatility_at": None if factor else layout.columns.index(str(volatility)),
        "margin_share": float(sum(config.shares(len(simulator.contracts)))),
        "lower": -config.max_leverage if config.direction == "free" else 0.0,
        "upper": config.max_leverage,
        "side": config.direction,
    }
    return arguments | {"known_region": _region(arguments, blocks) if region else None}


def _region(arguments: Mapping[str, Any], blocks: np.ndarray) -> list[list[float]]:
    """Lowest and highest mean of each scaled column in training."""
    with torch.no_grad():
        _, means = BookNetwork(**arguments).inputs(torch.from_numpy(blocks))
    values = means.squeeze(1).numpy()
    return np.stack([values.min(axis=0), values.max(axis=0)], axis=1).astype(float).tolist()


def _rule_of(simulator: Simulator) -> Tensor | None:
    """Targets (n_decisions, n_contracts) of the base rule, without their side."""
    scheme = simulator.scheme
    if not isinstance(scheme, ResidualScheme) or scheme.base is None:
        return None
    rows = np.concatenate([edges[:-1] for edges in simulator.tape.boundaries])
    targets, _ = scheme.base.predict(market_view(simulator, rows), deterministic=True)
    return torch.from_numpy(np.asarray(targets, np.float64))


def _side_of(config: SimulationConfig) -> float:
    return -1.0 if config.direction == "short" else 1.0


def _decisions(config: SimulationConfig, interval: np.timedelta64) -> int:
    """Decisions of an episode: a year unless the settings say otherwise."""
    return max(1, int(parse_duration(config.episode_length or "365d") // interval))
