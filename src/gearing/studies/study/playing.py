"""Playing a trial: an agent is trained first; the test span of every account, without and with the overlay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.comparisons.placebo import circular_shifts
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.studies.study.columns import agent_columns, made_rule
from gearing.studies.study.learning import Pretrained, train
from gearing.studies.study.prepare import Prepared
from gearing.studies.study.results import POLICY, VALIDATION, result_file, save_result
from gearing.studies.study.trials import PolicyTrial
from gearing.studies.trials import Place


def play(prepared: Prepared, pretrained: Pretrained, trial: PolicyTrial, place: Place) -> dict[str, Any]:
    """Play a trial; numbers of its results, and of an agent what validation said."""
    policy, summary = _policy(prepared, pretrained, trial, place)
    for overlay in prepared.config.overlays:
        for account in trial.accounts(prepared.config) or [None]:  # type: ignore[list-item]
            result = _play_account(prepared, trial, policy, account, overlay, place)
            prefix = "" if account is None and not overlay else f"{result_file(account, overlay)[:-4]}."
            summary |= {f"{prefix}{name}": value for name, value in result.row.items()}
    return summary


def _policy(
    prepared: Prepared, pretrained: Pretrained, trial: PolicyTrial, place: Place
) -> tuple[Any, dict[str, Any]]:
    """The policy of a trial, and what is known of its training."""
    if trial.seed is None:
        return made_rule(prepared.config, trial.policy), {}
    trained = train(prepared, pretrained, trial, place)
    trained.policy.save(place.folder / POLICY)
    return trained.policy, {VALIDATION: trained.validation_score, "chosen_at": trained.best_decisions}


def _play_account(
    prepared: Prepared, trial: PolicyTrial, policy: Any, account: str | None, overlay: bool, place: Place
) -> BacktestResult:
    config = prepared.config
    columns = None  # all, for a rule
    if trial.seed is not None:
        columns = agent_columns(config, trial.policy, trial.direction, overlay)
    name = next(iter(prepared.markets)) if account is None else account
    market, table = prepared.cut(name, prepared.folds[trial.fold].test, columns)
    settings = config.simulation_settings(trial.policy, trial.direction, overlay)
    result = backtest(policy, market, table, name=trial.label, **settings)
    more = {} if overlay else _placebo(prepared, trial, result, market, table)
    save_result(result, place.folder / result_file(account, overlay), more)
    if place.run is not None:
        place.run.log_figure(result.plot(), f"{result_file(account, overlay)[:-4]}.png")
    return result


def _placebo(
    prepared: Prepared, trial: PolicyTrial, result: BacktestResult, market: MarketData, table: FeatureTable
) -> Mapping[str, Any]:
    """Growth a year of the leverages that were traded, as they are and circularly shifted in time.

    All seeds and contracts of a fold are shifted by the same numbers of days, so that their draws can be averaged.
    """
    shifts = prepared.config.shifts
    if not shifts:
        return {}
    placebo = circular_shifts(result, market, table, shifts=shifts, seed=trial.fold)
    return {"replayed": placebo.growth, "shifted": placebo.shifted}
