"""A study: rules and agents over folds, judged on the same test bars."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gearing.evaluation.reports.figures import equity_figure
from gearing.evaluation.reports.tables import PRINTED, printed
from gearing.evaluation.result import BacktestResult
from gearing.studies.experiment import Findings, experiment
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.leaderboard import by_policy, leaderboard
from gearing.studies.study.prepare import Prepared, prepare
from gearing.studies.study.trials import RESULT, PolicyTrial, load_result, play, trials_of
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

TABLE = {
    **PRINTED,
    "controls": ("controls", "{}"),
    "acted": ("control_actions", "{:.0f}"),
    "growth vs baseline [95 %]": ("versus_text", "{}"),
    "code": ("code", "{}"),
}
LEADERBOARD = "leaderboard"
METRICS = (
    "log_growth",
    "sharpe",
    "max_drawdown",
    "effective_leverage",
    "liquidations",
    "fees",
    "funding",
)


@experiment(StudyConfig)
def run(config: StudyConfig, work: Work) -> Findings:
    """Play what is not played yet; the leaderboard, equity figures, and the bundle of the agent to export."""
    prepared = prepare(config, work.folder)
    work.on(prepared.named_market)
    for line in _opening(prepared):
        work.tell(line)
    found = work.run(trials_of(prepared), partial(play, prepared))
    results = {
        one.trial: load_result(one.trial.label, one.folder / RESULT, config.simulation(one.trial.policy))
        for one in found
    }
    board = leaderboard(config, results)
    bundle = None
    if config.export is not None:
        from gearing.studies.study.exporting import export_agent

        bundle = export_agent(prepared, config.export, work)
    return Findings(
        _line(board), {LEADERBOARD: board}, _figures(config, results), _metrics(board), prepared.named_market,
        printed={LEADERBOARD: printed(board, TABLE)}, results=results, bundle=bundle,
    )  # fmt: skip


def _line(board: pd.DataFrame) -> str:
    best = board["log_growth"].astype(float).idxmax()
    return f"most log growth a year: {best}, {board.loc[best, 'log_growth']:+.2f}"


def _figures(config: StudyConfig, results: dict[PolicyTrial, BacktestResult]) -> dict[str, Any]:
    """Equity, leverage and price of all rules, of all agents, and of both."""
    merged = by_policy(results)
    rules = [result for (_, seed), result in merged.items() if seed is None]
    agents = [result for (_, seed), result in merged.items() if seed is not None]
    return {
        name: equity_figure(chosen, f"{config.name}: {name}, test period")
        for name, chosen in (("rules", rules), ("agents", agents), ("all", rules + agents))
        if chosen
    }


def _metrics(board: pd.DataFrame) -> dict[str, float]:
    return {
        f"{_metric_name(str(policy))}.{name}": float(row[name])
        for policy, row in board.iterrows()
        for name in METRICS
        if _is_number(row.get(name))
    }


def _metric_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value


def _opening(prepared: Prepared) -> list[str]:
    lines = [str(prepared.market), *(f"  note: {note}" for note in prepared.market.notes)]
    lines += [f"fold {fold.number}: {fold}" for fold in prepared.folds]
    if prepared.forecast is not None:
        lines.append(
            f"forecast: {prepared.forecast.recipe.name}, out of sample from "
            f"{prepared.table.close_time[prepared.table.first_complete]}"
        )
    return lines


def read_leaderboards(folders: Iterable[str | Path]) -> pd.DataFrame:
    """Leaderboards of finished studies, indexed by (study, policy).

    Raises
    ------
    ValueError
        If a folder holds no finished study.
    """
    import pandas as pd

    boards = {}
    for folder in map(Path, folders):
        path = folder / f"{LEADERBOARD}.csv"
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no {path.name}; give the folder that `gearing study` prints as results."
            )
        board = pd.read_csv(path, index_col="policy", dtype=str)
        boards[folder.name] = board.map(_number_or_word)
    return pd.concat(boards, names=["study"])


def _number_or_word(text: Any) -> Any:
    """A table holds numbers and, where a ratio would mislead, words."""
    try:
        return float(text)
    except ValueError:
        return text
