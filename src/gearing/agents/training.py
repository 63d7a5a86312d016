"""Training: update, validate, keep the best weights, checkpoint, report progress."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gearing.agents.checkpoints import CheckpointFolder
from gearing.agents.hyperparameter_checks import check_hyperparameters
from gearing.agents.learner import Learner, Listener, Status, progress_bar
from gearing.agents.policy.learned import LearnedPolicy
from gearing.agents.randomness import own_randomness, random_state, set_random_state
from gearing.agents.scoring import Markets, Scorer, Tables, as_lists
from gearing.agents.settings import AgentSettings, agent_settings
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.names import shown
from gearing.simulation.config import SimulationConfig
from gearing.storage.digest import digest

_SAVED = (
    "history",
    "best",
    "seconds",
    "learning",
    "stopped",
    "average",
    "updates",
)  # of a training, in its checkpoint


@dataclass(frozen=True, eq=False)
class TrainedAgent:
    """The result of a training.

    Attributes
    ----------
    policy : LearnedPolicy
        With the best weights on validation, or the last ones without validation.
    history : list of dict
        One row per validation: decisions, score, best, and the processor seconds of learning until then
        (without validation).
    decisions : int
        Decisions trained on.
    best_decisions : int
        Decisions at the chosen weights.
    validation_score : float or None
        Log growth per year of the chosen weights on the validation span.
    seconds : float
        Duration, including earlier parts of a resumed training.
    stopped_early : bool
    """

    policy: LearnedPolicy
    history: list[dict[str, float]]
    decisions: int
    best_decisions: int
    validation_score: float | None
    seconds: float
    stopped_early: bool


def train_agent(
    agent: str | Mapping[str, Any] | AgentSettings,
    market: Markets,
    table: Tables,
    config: SimulationConfig,
    *,
    seed: int,
    total_decisions: int | None = None,
    validation: tuple[Markets, Tables] | None = None,
    checkpoint_dir: str | Path | None = None,
    resume: bool | Literal["restart"] = False,
    start_from: LearnedPolicy | None = None,
    run: Any = None,
    progress: bool | str | Listener = False,
) -> TrainedAgent:
    """Train an agent; the same arguments give the same weights to the last bit.

    Parameters
    ----------
    agent : str, mapping or AgentSettings
        Name, or name and overrides of its hyper-parameters; see :func:`gearing.agents.agent_settings`.
    market, table : training span; several markets are paths that episodes draw from
    config : SimulationConfig
        Its ``action`` is the agent's action scheme. Training episodes begin at random times and have the agent's
        length unless the config gives one.
    seed : int
        Seed of the network's weights, the exploration and the episodes.
    total_decisions : int, optional
        Overrides the budget of the settings.
    validation : (market, table), optional
        Chooses the weights; must be after the training span.
    checkpoint_dir : path, optional
        Folder of the checkpoints; None writes none.
    resume : bool or "restart"
        Continue from the checkpoint if there is one; the result equals that of an uninterrupted training. "restart"
        renames a checkpoint that cannot be read or belongs to another training, and starts anew; True refuses it.
    start_from : LearnedPolicy, optional
        Begin with its weights and its scaling instead of random ones: fine-tuning, as after a synthetic market. It
        must be of the same algorithm and network, and read the same columns.
    run : object with ``log_metrics(mapping, step)``, optional
        A tracked run; its step is the number of decisions.
    progress : bool, str or callable
        True shows a bar, a text one that it names; a callable gets a `Status` after every update.

    Raises
    ------
    ValueError
        For settings that do not exist or do not fit, or a checkpoint of another training.
    TrainingDiverged
        If a number is no longer finite; the message names it.
    """
    if not isinstance(config, SimulationConfig):
        raise TypeError(f"config is {shown(config)}; give a SimulationConfig(...).")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed is {shown(seed)}; it must be a whole number.")
    settings = agent_settings(agent)
    if total_decisions is not None:
        settings = agent_settings(settings, total_decisions=total_decisions)
    check_hyperparameters(settings)
    markets, tables = as_lists(market, table)
    held_out = as_lists(*validation) if validation is not None else ([], [])
    _check_spans(markets, held_out[0])
    identity = _identity(settings, markets, tables, config, seed, held_out)
    if start_from is not None:
        identity["start_from"] = [digest(t.numpy()) for t in start_from.network.state_dict().values()]
    with own_randomness(seed), ExitStack() as stack:
        training_config = config.with_(
            start="random", episode_length=config.episode_length or settings.episode
        )
        learner = _learner_of(settings.algorithm)(
            settings, markets, tables, training_config, seed, settings.total_decisions, identity
        )
        if start_from is not None:
            _check_same_network(learner.policy, start_from)
            learner.network.load_state_dict(start_from.network.state_dict())
        listener = progress if callable(progress) else None
        if progress is True or isinstance(progress, str):
            label = settings.algorithm if progress is True else str(progress)
            listener = stack.enter_context(progress_bar(label, settings.total_decisions))
        folder = CheckpointFolder(checkpoint_dir, identity) if checkpoint_dir is not None else None
        scorer = Scorer(*held_out, config) if held_out[0] else None
        training = _Training(settings, learner, scorer, folder, run, listener)
        if resume and folder is not None:
            training.resume(folder.read_or_set_aside() if resume == "restart" else folder.read())
        return training.finish()


@dataclass
class _Training:
    """A running training."""

    settings: AgentSettings
    learner: Learner
    scorer: Scorer | None
    folder: CheckpointFolder | None
    run: Any
    listener: Listener | None
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    seconds: float = 0.0
    learning: float = 0.0  # processor seconds inside updates
    stopped: bool = False
    average: dict[str, Any] | None = None  # of the weights over the updates
    updates: int = 0

    def resume(self, state: dict[str, Any] | None) -> None:
        """Resume from the checkpoint, if there is one."""
        if state is None:
            return
        self.learner.restore(state["learner"])
        set_random_state(state["random"])
        for name in _SAVED:
            setattr(self, name, state[name])

    def finish(self) -> TrainedAgent:
        """Update until the budget is spent or validation no longer improves."""
        self._began, self._began_at = time.monotonic(), self.learner.decisions
        self._before = self.seconds
        self._written = self._began
        if not self.history:
            self._validate()
        while self.learner.decisions < self.settings.total_decisions and not self.stopped:
            before = self.learner.decisions
            began = time.process_time()
            metrics = self.learner.update()
            self._take_average()
            self.learning += time.process_time() - began
            self._log(metrics)
            every = self.settings.validate_every
            last = self.learner.decisions >= self.settings.total_decisions
            if last or self.learner.decisions // every > before // every:
                self._validate()
            self._report()
            self._checkpoint(last or self.stopped)
        return self._result()

    def _take_average(self) -> None:
        """Move the average of the weights towards the present ones; the first updates count less."""
        if self.settings.averaging == 0.0:
            return
        self.updates += 1
        earlier = min(self.settings.averaging, self.updates / (self.updates + 9))
        weights = self.learner.network.state_dict()
        if self.average is None:
            self.average = _copied(weights)
        for name, tensor in self.average.items():
            if tensor.is_floating_point():
                tensor.lerp_(weights[name], 1.0 - earlier)

    def _validate(self) -> None:
        """Score the policy; keep its weights if they are the best so far."""
        network = self.learner.policy.network
        network.load_state_dict(self.average or self.learner.network.state_dict())
        score = self.scorer(self.learner.policy) if self.scorer is not None else float("nan")
        if self.best is None or self._is_better(score, self.best):
            self.best = {
                "score": score,
                "decisions": self.learner.decisions,
                "weights": _copied(network.state_dict()),
                "within_budget": self.learner.within_budget,
            }
        best, seconds = self.best["score"], self.learning
        row = {"decisions": self.learner.decisions, "score": score, "best": best, "seconds": seconds}
        self.history.append(row)
        if self.scorer is not None:
            self._log({"validation/log_growth_per_year": score, "validation/best": best})
        self.stopped = self._is_done()

    def _is_better(self, score: float, best: Mapping[str, Any]) -> bool:
        """A risk budget comes first, the score second; without validation the last weights are kept."""
        if self.scorer is None:
            return True
        return (self.learner.within_budget, score) > (best["within_budget"], best["score"])

    def _is_done(self) -> bool:
        """Whether the last ``patience`` validations brought no improvement."""
        patience = self.settings.patience
        if patience is None or self.scorer is None or self.best is None:
            return False
        since = sum(row["decisions"] > self.best["decisions"] for row in self.history)
        return since >= patience

    def _log(self, metrics: Mapping[str, float]) -> None:
        if self.run is not None:
            self.run.log_metrics(metrics, step=self.learner.decisions)

    def _report(self) -> None:
        now = time.monotonic()
        self.seconds = self._before + now - self._began
        if self.listener is not None:
            done = self.learner.decisions
            speed = (done - self._began_at) / max(now - self._began, 1e-9)
            score, best = (self.history[-1][name] for name in ("score", "best"))
            known = (None, None) if np.isnan(score) else (score, best)
            self.listener(Status(done, self.settings.total_decisions, speed, *known))

    def _checkpoint(self, last: bool) -> None:
        now = time.monotonic()
        due = now - self._written >= self.settings.checkpoint_seconds
        if self.folder is None or not (due or last):
            return
        self._written = now
        saved = {name: getattr(self, name) for name in _SAVED}
        self.folder.write({"learner": self.learner.state(), "random": random_state(), **saved})

    def _result(self) -> TrainedAgent:
        assert self.best is not None
        self.learner.policy.network.load_state_dict(self.best["weights"])
        score = None if np.isnan(self.best["score"]) else float(self.best["score"])
        return TrainedAgent(
            policy=self.learner.policy,
            history=self.history,
            decisions=self.learner.decisions,
            best_decisions=self.best["decisions"],
            validation_score=score,
            seconds=self.seconds,
            stopped_early=self.stopped,
        )


def _copied(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}


def _check_same_network(policy: LearnedPolicy, earlier: LearnedPolicy) -> None:
    mine, theirs = policy.description, earlier.description
    if (mine.algorithm, mine.names) != (theirs.algorithm, theirs.names):
        raise ValueError(
            f"start_from is a {theirs.algorithm} policy of {', '.join(theirs.names)}; this is {mine.algorithm} of "
            f"{', '.join(mine.names)}. Give both the same algorithm and columns."
        )


def _learner_of(algorithm: str) -> Any:
    if algorithm == "differentiable":
        from gearing.agents.differentiable.learner import DifferentiableLearner

        return DifferentiableLearner
    if algorithm == "differentiable_book":
        from gearing.agents.book.learner import BookLearner

        return BookLearner
    from gearing.agents.sb3.learner import SB3Learner

    return SB3Learner


def _check_spans(training: list[MarketData], validation: list[MarketData]) -> None:
    """Refuse validation on bars of the training span."""
    for seen in training:
        for held_out in validation:
            if _share_bars(seen, held_out):
                raise ValueError(
                    f"validation {held_out!r} overlaps training {seen!r}; cut the market in time with "
                    "market.split(...)."
                )


def _share_bars(one: MarketData, other: MarketData) -> bool:
    """Whether two markets share bars; synthetic paths share dates with all others, but no prices."""
    overlap = one.open_time[0] < other.close_time[-1] and other.open_time[0] < one.close_time[-1]
    if not overlap or (one.truth is None and other.truth is None):
        return bool(overlap)  # on real history the same dates carry the same news for all contracts
    _, mine, theirs = np.intersect1d(one.open_time, other.open_time, return_indices=True)
    same_shape = one.last.shape[1:] == other.last.shape[1:]
    return bool(same_shape and (one.last[mine] == other.last[theirs]).all(axis=(1, 2)).any())


def _identity(
    settings: AgentSettings,
    markets: list[MarketData],
    tables: list[FeatureTable],
    config: SimulationConfig,
    seed: int,
    held_out: tuple[list[MarketData], list[FeatureTable]],
) -> dict[str, Any]:
    """The identity of a training; also the provenance of its policy."""
    return {
        "agent": settings.as_dict(),
        "seed": seed,
        "config": digest(repr(config)),
        "markets": [market.fingerprint for market in markets],
        "tables": [digest(table.values) for table in tables],
        "validation_markets": [market.fingerprint for market in held_out[0]],
        "training_spans": [[str(m.open_time[0]), str(m.close_time[-1])] for m in markets],
        "validation_spans": [[str(m.open_time[0]), str(m.close_time[-1])] for m in held_out[0]],
        "torch": torch.__version__,
    }
