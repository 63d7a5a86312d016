"""A study: rules and agents over folds, judged on the same test days."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.metrics import RUINED
from gearing.evaluation.reports.figures import equity_figure
from gearing.evaluation.reports.tables import PRINTED, number_text, printed
from gearing.evaluation.result import BacktestResult
from gearing.studies.experiment import Findings, experiment
from gearing.studies.recording.metrics import of_policies
from gearing.studies.study.compared import compared
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.conforming import check_own_policies
from gearing.studies.study.days import Fixed, everything_played, fixed_leverages
from gearing.studies.study.evidence import evidence_of
from gearing.studies.study.exporting.export import Choice, check_export, export_policy
from gearing.studies.study.headline import headline
from gearing.studies.study.leaderboard import (
    Entry,
    entries_of,
    leaderboard,
    loaded,
    policy_rows,
    trained_columns,
)
from gearing.studies.study.learning import can_begin, pretrain
from gearing.studies.study.playing import play
from gearing.studies.study.policies import (
    policies_line,
    policies_printed,
    policies_table,
    reasons_table,
    seeds_table,
)
from gearing.studies.study.prepare import Prepared, check_forecast, prepare
from gearing.studies.study.searching import search_study
from gearing.studies.study.trials import METRICS, trials_of, whole
from gearing.studies.trials import Result
from gearing.studies.work import Work

_VERSUS = "growth vs baseline [interval]"
TABLE = {
    **PRINTED,
    "trained": ("trained_text", "{}"),
    "controls": ("controls", "{}"),
    "acted": ("control_actions", "{:.0f}"),
    _VERSUS: ("versus_text", "{}"),
    "deflated Sharpe": ("deflated_sharpe", "{:.2f}"),
    "code": ("code", "{}"),
}
LEADERBOARD = "leaderboard"
# What a study's tracked run shows of a policy, and its names there: those of trials.
_METRICS = {
    **{name: name for name in (*METRICS, "trained_decisions", "untrained", "ruined_seeds", "deflated_sharpe")},
    "growth": "log_growth", "leverage": "effective_leverage", "drawdown": "max_drawdown",  # of a study with groups
    "versus": "versus_baseline", "versus_low": "versus_baseline_low", "versus_high": "versus_baseline_high",
    "versus_fixed": "versus_fixed", "fixed_low": "versus_fixed_low", "fixed_high": "versus_fixed_high",
}  # fmt: skip


def check(config: StudyConfig) -> None:
    """Refuse what can be known to fail before anything is run: columns, the export, and the data."""
    if config.search is None:
        check_forecast(config)
        check_export(config)
    if config.acts and config.groups is None:  # acts may take minutes
        config.market.open()


@experiment(StudyConfig, check)
def run(config: StudyConfig, work: Work) -> Findings:
    """Play what is not played yet and set the tables.

    Without groups: the leaderboard, equity figures, and the bundle of the policy to export. With groups: all policies,
    why agents win or lose, and the agents' seeds; see `policies_table`, `reasons_table` and `seeds_table`. With the
    section ``search`` it searches over an agent's settings instead.
    """
    if config.search is not None:
        return search_study(config, work)
    prepared = prepare(config, work)
    for line in _opening(prepared):
        work.tell(line)
    for name in check_own_policies(prepared):
        work.tell(f"{name} passes gearing.check_policy")
    trials = trials_of(prepared)
    pretrained = pretrain(config, trials, work)
    begin = [trial for trial in trials if can_begin(config, pretrained, trial)]
    results = whole(trials, work.run(begin, partial(play, prepared, pretrained), needed=False))
    if not results:
        work.raise_failure()
    fixed = fixed_leverages(prepared)
    found = (
        _one_account(prepared, results, work) if config.groups is None else _groups(prepared, results, fixed)
    )
    return replace(found, comparison=compared(prepared, results, fixed))


def _one_account(prepared: Prepared, results: Sequence[Result], work: Work) -> Findings:
    config, entries = prepared.config, entries_of(prepared.config, results)
    board = leaderboard(config, entries)
    names = [one.name for one in entries if one.policy == _main_policy(config)]
    main = (names or [entries[0].name])[0]
    rows, bundle = policy_rows(board, entries), _bundle(prepared, results, work)
    return Findings(
        _line(config, board), {LEADERBOARD: board}, _figures(config, entries),
        of_policies({name: _shown(row) for name, row in rows.items()}, main), prepared.markets,
        _notes(prepared), {LEADERBOARD: _printed(config, board)},
        {one.trial: loaded(config, one) for one in results}, bundle, main=main,
        evidence=None if bundle is None else evidence_of(prepared, entries), headline=headline(config, board, entries),
    )  # fmt: skip


def _main_policy(config: StudyConfig) -> str:
    """The policy that the study is about: the one that is exported, else the first agent, else the first rule."""
    return config.export or next(iter((*config.agents, *config.rules)))


def _bundle(prepared: Prepared, results: Sequence[Result], work: Work) -> Path | None:
    """The bundle of the policy to export; none where one of its trials failed."""
    name = prepared.config.export
    if name is None:
        return None
    if sum(one.trial.policy == name for one in results) < sum(
        trial.policy == name for trial in trials_of(prepared)
    ):
        work.tell(f"no bundle is written: a trial of {name} failed")
        return None
    return export_policy(prepared, Choice(name), work)


def _printed(config: StudyConfig, board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard as it is printed; the intervals by the level of the study's statistics."""
    named = {_VERSUS: f"growth vs baseline [{100.0 * config.statistics.level:g} %]"}
    return printed(board, TABLE).rename(columns=named)


def _groups(prepared: Prepared, results: Sequence[Result], fixed: Fixed) -> Findings:
    config, played = prepared.config, list(everything_played(prepared, results, fixed))
    table = policies_table(played)
    tables = {"policies": table}
    if config.agents:
        tables |= {"reasons": reasons_table(played), "seeds": seeds_table(played)}
    rows = {"/".join(one.key.values()): table.loc[tuple(one.key.values())] for one in played}
    main = next("/".join(one.key.values()) for one in played if one.label == _main_policy(config))
    line = policies_line(config.name, played, table)
    return Findings(
        line, tables, metrics=of_policies({name: _shown(row) for name, row in rows.items()}, main),
        markets=prepared.markets, notes=_notes(prepared), printed={"policies": policies_printed(table)}, main=main,
    )  # fmt: skip


def _line(config: StudyConfig, board: pd.DataFrame) -> str:
    """Log growth a year of agents over their seeds; of a study without agents, of its rules."""
    over_seeds = [name for name in board.index if name.endswith(" seeds")]
    single = [name for name in board.index if name.endswith("]")]
    rows = [
        f"{name} {number_text('{:+.2f}', row['log_growth'])}{_compared(row)}"
        for name, row in board.loc[over_seeds or single or list(board.index)].iterrows()
    ]
    return f"{config.name}: log growth a year of {'; '.join(rows)}"


def _compared(row: pd.Series) -> str:
    """What a row says against the baseline, and of its training where validation chose untrained weights."""
    versus = row.get("versus_text")
    texts = [f"{versus} against the baseline"] if isinstance(versus, str) and versus != RUINED else []
    texts += [str(row["trained_text"])] if row.get("untrained", 0.0) > 0.0 else []
    return f" ({'; '.join(texts)})" if texts else ""


def _figures(config: StudyConfig, entries: Sequence[Entry]) -> dict[str, Any]:
    """Equity, leverage and price of all rules, of all agents as bands over their seeds, and of both."""
    rules = [one.result for one in entries if one.seed is None]
    agents = _over_seeds(config, [one for one in entries if one.seed is not None])
    chosen = {"rules": (rules, {}), "agents": ([], agents), "all": (rules, agents)}
    return {
        name: equity_figure(singles, f"{config.name}: {name}, test period", groups)
        for name, (singles, groups) in chosen.items()
        if singles or groups
    }


def _over_seeds(config: StudyConfig, entries: Sequence[Entry]) -> dict[str, list[BacktestResult]]:
    """Results of each agent by the name that a figure shows: seeds, how much was trained, how many were ruined."""
    found = {}
    for name in dict.fromkeys(one.name for one in entries):
        own = [one for one in entries if one.name == name]
        columns, ruined = trained_columns(config, own), sum(one.result.ruined for one in own)
        said = [f"median and range of {len(own)} seeds" if len(own) > 1 else "1 seed"]
        said += [str(columns["trained_text"])] if columns["untrained"] else []
        said += [f"{ruined} ruined"] if ruined else []
        found[f"{name} ({', '.join(said)})"] = [one.result for one in own]
    return found


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the study's tracked run shows of a policy's row, under the names that trials have."""
    return {name: row[given] for given, name in _METRICS.items() if given in row}


def _notes(prepared: Prepared) -> tuple[str, ...]:
    """What a reader of the tables must know: the folds, the forecast, the stated budget."""
    notes = [f"fold {fold.number}: {fold}" for fold in prepared.folds]
    for account, column in prepared.forecasts.items():
        table = prepared.tables[account]
        first = table.close_time[table.first_complete]
        notes.append(f"forecast of {account}: {column.recipe.name}, out of sample from {first}")
    if prepared.config.budget is not None:
        budget = f"{prepared.config.budget:.1%}"
        notes.append(
            f"stated probability of a liquidation within 30 days, to compare with `touched`: {budget}"
        )
    return tuple(notes)


def _opening(prepared: Prepared) -> list[str]:
    lines = []
    for market in prepared.markets.values():
        lines += [str(market), *(f"  note: {note}" for note in market.notes)]
    return [*lines, *_notes(prepared)]


def read_leaderboards(folders: Iterable[str | Path]) -> pd.DataFrame:
    """Leaderboards of finished studies, indexed by (study, policy).

    Raises
    ------
    ValueError
        If a folder holds no finished study.
    """
    boards = {}
    for folder in map(Path, folders):
        path = folder / f"{LEADERBOARD}.csv"
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no {path.name}; give the folder that `gearing study` prints as results."
            )
        board = pd.read_csv(path, index_col="policy", dtype=str)
        boards[folder.name] = board.map(_number_or_word)
    return pd.concat(boards, names=["study"]) if boards else pd.DataFrame()


def _number_or_word(text: Any) -> Any:
    """A table holds numbers and, where a ratio would mislead, words."""
    try:
        return float(text)
    except ValueError:
        return text
