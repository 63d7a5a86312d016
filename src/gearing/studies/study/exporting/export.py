"""Export a policy of a study: an agent or a rule."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gearing.evaluation.columns import FORECAST, SHORTEST
from gearing.evaluation.result import BacktestResult
from gearing.export import BundleError, load_bundle
from gearing.export.results import budget_card, evaluation_card
from gearing.features import FeatureSet, FeatureTable
from gearing.forecasters.register import forecaster
from gearing.market.data import MarketData
from gearing.policies.registry import describe_rule
from gearing.storage.digest import code_digest
from gearing.studies.study.columns import agent_columns, rule_columns
from gearing.studies.study.config import StudyConfig, load_study
from gearing.studies.study.exporting.inputs import INPUT_FILES, write_inputs
from gearing.studies.study.exporting.places import bundle_name, inputs_of, place, set_aside
from gearing.studies.study.learning import training_settings
from gearing.studies.study.prepare import Prepared, prepare
from gearing.studies.study.trials import (
    POLICY,
    VALIDATION,
    PolicyTrial,
    load_result,
    result_file,
    trials_of,
)
from gearing.studies.trials import Result
from gearing.studies.work import Work


@dataclass(frozen=True)
class Choice:
    """The policy of a study that a bundle is made of.

    Attributes
    ----------
    name : str
        A rule or an agent.
    seed : int, optional
        Of an agent, named beforehand; None takes the mean of all.
    direction : str, optional
        One of the study's ``directions``; None where it has none, or only one.
    """

    name: str
    seed: int | None = None
    direction: str | None = None


def check_export(config: StudyConfig) -> None:
    """Refuse a policy that no bundle can hold, before anything is trained.

    Raises
    ------
    ValueError
        For a rule that is not registered, a forecaster without a graph, or hedge mode.
    """
    name = config.export
    if name is None:
        return
    if name in config.rules:
        try:
            describe_rule(config.rules[name].make())
        except ValueError as error:
            raise ValueError(f"export: {name}: {error} Or drop export.") from None
    columns = rule_columns(config, name) if name in config.rules else agent_columns(config, name)
    if FORECAST in columns and config.forecast is not None:
        recipe = forecaster(config.forecast.forecaster)
        if not recipe.exports:
            raise ValueError(
                f"export: {name} reads the forecast of {recipe.name}, which has no graph. Choose another "
                "forecast.forecaster, such as har or lightgbm_gamma, or drop export."
            )
    if config.decision.position_mode != "one_way":
        raise ValueError(
            "export: a bundle holds one position per contract. Write position_mode: one_way, or drop export."
        )


def results_of(prepared: Prepared, choice: Choice, work: Work) -> list[Result]:
    """Results of the newest fold that a bundle is made of: of a rule, or of all seeds, or the named one, of an agent.

    Neither validation nor test chooses among seeds: the seed that validation liked best is the one whose luck was best.

    Raises
    ------
    ValueError
        For results that are missing, a seed that the agent was not trained with, or a direction that is not played.
    """
    newest, name = max(fold.number for fold in prepared.folds), choice.name
    trials = [trial for trial in trials_of(prepared) if trial.policy == name and trial.fold == newest]
    trials = _in_direction(trials, choice)
    if choice.seed is not None:
        known = [trial.seed for trial in trials if trial.seed is not None]
        if choice.seed not in known:
            raise ValueError(
                f"seed {choice.seed} of {name} was not trained; choose one with --seed: {', '.join(map(str, known))}."
                if known
                else f"{name} is a rule and has no seeds. Drop --seed."
            )
        trials = [trial for trial in trials if trial.seed == choice.seed]
    results = work.results(trials)
    if len(results) < len(trials):
        missing = len(trials) - len(results)
        raise ValueError(f"{missing} of {len(trials)} trials of {name} are missing; finish the study first.")
    return results


def _in_direction(trials: list[PolicyTrial], choice: Choice) -> list[PolicyTrial]:
    """Trials of the chosen direction, or of the only one."""
    known = list(dict.fromkeys(trial.direction for trial in trials))
    if choice.direction is None and len(known) == 1:
        return trials
    if choice.direction not in known:
        named = ", ".join(str(one) for one in known if one is not None)
        raise ValueError(
            f"{choice.name} plays the directions {named}; choose one with --direction."
            if named
            else f"{choice.name} plays the direction of the study alone. Drop --direction {choice.direction}."
        )
    return [trial for trial in trials if trial.direction == choice.direction]


def export_policy(
    prepared: Prepared,
    choice: Choice,
    work: Work,
    folder: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The bundle of a policy, by default in the study's folder, with the inputs of a decision.

    It is written unless it is there. An agent decides by the mean of the newest fold's seeds, in one graph, or by the
    seed that is named. See `place` for where. Another bundle that was there is renamed, see `set_aside`.
    """
    config, found = prepared.config, results_of(prepared, choice, work)
    provenance = _provenance(config, found)
    bundle = folder or place(config, choice.name, work.folder, choice.seed, choice.direction)
    if _is_exported(bundle, inputs_of(bundle), provenance):
        return bundle
    if folder is not None and folder.exists():
        raise ValueError(f"{folder} exists. Choose another --output, or remove it.")
    if (before := set_aside(bundle)) is not None:
        (tell or work.tell)(f"the bundle of before is now {before}")
    _write(prepared, choice, found, bundle, provenance)
    return bundle


def _write(
    prepared: Prepared, choice: Choice, found: list[Result], bundle: Path, provenance: Mapping[str, Any]
) -> None:
    from gearing.agents import load_policy
    from gearing.export import export_bundle

    config, trial = prepared.config, found[0].trial
    ((account, market),) = prepared.markets.items()
    fold = next(one for one in prepared.folds if one.number == trial.fold)
    results, where = _played(config, found), f"{market.name}, test of fold {trial.spans}"
    if choice.name in config.rules:
        columns = rule_columns(config, choice.name, trial.direction)
        table = seen = _selected(prepared.tables[account], columns, market)
        policies, settings = (
            [config.rules[choice.name].make()],
            config.simulation(choice.name, trial.direction),
        )
    else:
        columns = agent_columns(config, choice.name, trial.direction)
        table = prepared.tables[account].select(columns)
        seen = table.between(*fold.train)
        policies = [load_policy(one.folder / POLICY) for one in found]
        settings = training_settings(config, choice.name, trial.direction)
    export_bundle(
        policies if len(policies) > 1 else policies[0],
        bundle,
        market=market,
        table=table,
        config=settings,
        forecasts=list(prepared.forecasts.values()) if FORECAST in columns else [],
        name=bundle_name(config, choice.name),
        provenance=provenance,
        seen=seen,
        evaluation=evaluation_card(results, where),
        budget=budget_card(list(results.values()), where),
        overwrite=True,
    )
    write_inputs(market, table, bundle, inputs_of(bundle), config.decision.initial_equity)


def _selected(table: FeatureTable, columns: list[str], market: MarketData) -> FeatureTable:
    """Columns of a rule; the shortest feature for a rule that reads none, as an observation has columns."""
    if columns:
        return table.select(columns)
    return table.select([SHORTEST]) if SHORTEST in table.columns else FeatureSet([SHORTEST]).compute(market)


def _played(config: StudyConfig, found: list[Result]) -> dict[str, BacktestResult]:
    """What the policies did on their test span, by seed."""
    played = {}
    for one in found:
        trial: PolicyTrial = one.trial
        settings = config.simulation(trial.policy, trial.direction)
        path = one.folder / result_file(None, overlay=False)
        name = trial.policy if trial.seed is None else f"seed {trial.seed}"
        played[name] = load_result(trial.name, path, settings)[0]
    return played


def _provenance(config: StudyConfig, found: list[Result]) -> dict[str, Any]:
    trial: PolicyTrial = found[0].trial
    made = {
        "study": config.name,
        "digest": config.digest,
        "trials": [one.folder.name for one in found],
        "code": found[0].code,
        "exported_by": code_digest(),
        "fold": trial.spans,
    }
    if trial.seed is None:
        return made
    return {
        **made,
        "seeds": [one.trial.seed for one in found],
        "validation_log_growth_per_year": [one.summary[VALIDATION] for one in found],
    }


def _is_exported(bundle: Path, inputs: Path, provenance: Mapping[str, Any]) -> bool:
    """Whether a whole and unchanged bundle of these results is there, with the inputs of a decision."""
    if not all((inputs / name).is_file() for name in INPUT_FILES):
        return False
    try:
        found = load_bundle(bundle).manifest.provenance
    except (BundleError, OSError):
        return False
    return {name: found.get(name) for name in provenance} == provenance


def export_from_folder(
    folder: Path,
    name: str | None = None,
    seed: int | None = None,
    direction: str | None = None,
    output: Path | None = None,
    tell: Callable[[str], None] | None = None,
    plugins: Iterable[str] = (),
) -> Path:
    """Export a policy of a finished study, read back from its folder.

    Parameters
    ----------
    name : str, optional
        A rule or an agent; by default the one that the study exports, or its only agent, or its only rule.
    output : path, optional
        Folder of the bundle, new; by default in the study's folder.

    Raises
    ------
    ValueError
        If the folder is no study's, or the policy is not among its policies.
    """
    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    config = load_study(folder / "experiment.yaml", plugins=plugins)
    if config.groups is not None:
        raise ValueError(f"{folder} is a study with groups, which exports no policy.")
    choice = Choice(_chosen(config, name, folder), seed, direction)
    work = Work(config.model_copy(update={"reuse": True}), folder)
    return export_policy(prepare(config, work), choice, work, output, tell)


def _chosen(config: StudyConfig, name: str | None, folder: Path) -> str:
    names = [*config.agents, *config.rules]
    if name is not None and name not in names:
        raise ValueError(
            f"policy {name!r} is not in this study; choose one with --policy: {', '.join(names)}."
        )
    likely = [config.export] if config.export else list(config.agents or config.rules)
    if name is None and len(likely) > 1:
        raise ValueError(
            f"{folder}: this study has several policies; choose one with --policy: {', '.join(names)}."
        )
    return name or likely[0]
