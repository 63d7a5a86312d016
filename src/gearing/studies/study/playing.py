"""Playing a trial: an agent is trained first; the test span of every account, without and with the overlay."""

from typing import Any

import numpy as np

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.comparisons.placebo import circular_shifts
from gearing.evaluation.result import BacktestResult
from gearing.studies.study.columns import agent_columns, rule_columns
from gearing.studies.study.learning import Pretrained, train
from gearing.studies.study.prepare import Prepared
from gearing.studies.study.trials import (
    CHOSEN_AT,
    HISTORY,
    POLICY,
    VALIDATION,
    PolicyTrial,
    result_file,
    save_result,
)
from gearing.studies.trials import Place

CURVE_POINTS = 60  # of a curve in a tracked run; each costs about 0.1 ms


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
        return prepared.config.rules[trial.policy].make(), {}
    trained = train(prepared, pretrained, trial, place)
    trained.policy.save(place.folder / POLICY)
    chosen = trained.best_decisions
    return trained.policy, {
        VALIDATION: trained.validation_score,
        CHOSEN_AT: chosen,
        "trained_decisions": chosen,
        "untrained": float(chosen == 0),
        HISTORY: trained.history,
    }


def _play_account(
    prepared: Prepared, trial: PolicyTrial, policy: Any, account: str | None, overlay: bool, place: Place
) -> BacktestResult:
    config = prepared.config
    columns = None  # all, for a rule
    if trial.seed is not None:
        columns = agent_columns(config, trial.policy, trial.direction, overlay)
    elif config.rules[trial.policy].is_own:
        columns = rule_columns(config, trial.policy, trial.direction, overlay) or None
    name = next(iter(prepared.markets)) if account is None else account
    market, table = prepared.cut(name, prepared.folds[trial.fold].test, columns)
    settings = config.simulation_settings(trial.policy, trial.direction, overlay)
    result = backtest(policy, market, table, name=trial.label, **settings)
    more = {}
    if config.shifts and not overlay:
        # All seeds and contracts of a fold are shifted by the same days, so that their draws can be averaged.
        placebo = circular_shifts(result, market, table, shifts=config.shifts, seed=trial.fold)
        more = {"replayed": placebo.growth, "shifted": placebo.shifted}
    save_result(result, place.folder / result_file(account, overlay), more)
    if place.run is not None and not overlay:
        _log_curves(place.run, result, "" if account is None else f"{account}/")
    return result


def _log_curves(run: Any, result: BacktestResult, prefix: str) -> None:
    """Equity as a multiple of the first, and leverage, by decisions of the test span: what MLflow draws."""
    count = len(result.equity) - 1
    for k in np.unique(np.linspace(0, count, min(CURVE_POINTS, count + 1)).astype(int)):
        values = {"test/equity": result.equity[k] / result.equity[0]}
        if k < count:
            values["test/effective_leverage"] = float(np.abs(result.leverage[k]).sum())
        run.log_metrics({f"{prefix}{name}": value for name, value in values.items()}, step=int(k))
