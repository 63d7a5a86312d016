"""Export a study's agent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gearing.evaluation.columns import FORECAST
from gearing.evaluation.result import BacktestResult
from gearing.export import BundleError, load_bundle
from gearing.export.results import budget_card, evaluation_card
from gearing.storage.digest import code_digest
from gearing.studies.study.columns import agent_columns
from gearing.studies.study.config import StudyConfig, load_study
from gearing.studies.study.exporting.inputs import INPUT_FILES, write_inputs
from gearing.studies.study.exporting.places import bundle_name, inputs_of, place
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


def trained(prepared: Prepared, name: str, work: Work, seed: int | None = None) -> list[Result]:
    """Trainings of the newest fold that a bundle is made of: of all seeds, or of the one named beforehand.

    Neither validation nor test chooses among them: the seed that validation liked best is the one whose luck was best.

    Raises
    ------
    ValueError
        For trainings that are missing, or a seed that the agent was not trained with.
    """
    newest = max(fold.number for fold in prepared.folds)
    trials = [trial for trial in trials_of(prepared) if trial.policy == name and trial.fold == newest]
    if seed is not None:
        known = [trial.seed for trial in trials]
        if seed not in known:
            raise ValueError(
                f"seed {seed} of {name} was not trained; choose one with --seed: {', '.join(map(str, known))}."
            )
        trials = [trial for trial in trials if trial.seed == seed]
    results = work.results(trials)
    if len(results) < len(trials):
        missing = len(trials) - len(results)
        raise ValueError(
            f"{missing} of {len(trials)} trainings of {name} are missing; finish the study first."
        )
    return results


def export_agent(prepared: Prepared, name: str, work: Work, seed: int | None = None) -> Path:
    """The bundle of an agent in the study's folder, with the inputs of a decision; written unless it is there.

    It decides by the mean of the newest fold's seeds, in one graph, or by the seed that is named. See `place` for
    where: no agent's bundle replaces another's.
    """
    from gearing.agents import load_policy
    from gearing.export import export_bundle

    config, found = prepared.config, trained(prepared, name, work, seed)
    trial: PolicyTrial = found[0].trial
    provenance = _provenance(config, found)
    bundle = place(config, name, work.folder)
    if _is_exported(bundle, inputs_of(bundle), provenance):
        return bundle
    columns = agent_columns(config, name, trial.direction)
    ((account, market),) = prepared.markets.items()
    table = prepared.tables[account].select(columns)
    fold = next(one for one in prepared.folds if one.number == trial.fold)
    results, where = _played(config, found), f"{market.name}, test of fold {trial.spans}"
    policies = [load_policy(one.folder / POLICY) for one in found]
    export_bundle(
        policies if len(policies) > 1 else policies[0],
        bundle,
        market=market,
        table=table,
        config=training_settings(config, name, trial.direction),
        forecasts=list(prepared.forecasts.values()) if FORECAST in columns else [],
        name=bundle_name(config, name),
        provenance=provenance,
        seen=table.between(*fold.train),
        evaluation=evaluation_card(results, where) if results else {},
        budget=budget_card(list(results.values()), where) if results else {},
        overwrite=True,
    )
    write_inputs(market, bundle, inputs_of(bundle), config.decision.initial_equity)
    return bundle


def _played(config: StudyConfig, found: Sequence[Result]) -> dict[str, BacktestResult]:
    """What the trainings did on their test span, by seed."""
    played = {}
    for one in found:
        trial: PolicyTrial = one.trial
        settings = config.simulation(trial.policy, trial.direction)
        path = one.folder / result_file(None, overlay=False)
        played[f"seed {trial.seed}"] = load_result(trial.name, path, settings)[0]
    return played


def _provenance(config: StudyConfig, found: Sequence[Result]) -> dict[str, Any]:
    trial: PolicyTrial = found[0].trial
    return {
        "study": config.name,
        "digest": config.digest,
        "trials": [one.folder.name for one in found],
        "code": found[0].code,
        "exported_by": code_digest(),
        "seeds": [one.trial.seed for one in found],
        "fold": trial.spans,
        "validation_log_growth_per_year": [one.summary[VALIDATION] for one in found],
    }


def _is_exported(bundle: Path, inputs: Path, provenance: dict[str, Any]) -> bool:
    """Whether a whole and unchanged bundle of that training is there, with the inputs of a decision."""
    if not all((inputs / name).is_file() for name in INPUT_FILES):
        return False
    try:
        found = load_bundle(bundle).manifest.provenance
    except (BundleError, OSError):
        return False
    return {name: found.get(name) for name in provenance} == provenance


def export_from_folder(folder: Path, agent: str | None = None, seed: int | None = None) -> Path:
    """Export an agent of a finished study, read back from its folder.

    Raises
    ------
    ValueError
        If the folder is no study's, or the agent is not among its agents.
    """
    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    config = load_study(folder / "experiment.yaml")
    agent = _chosen(list(config.agents), agent, folder)
    if config.groups is not None:
        raise ValueError(f"{folder} is a study with groups, which exports no agent.")
    work = Work(config.model_copy(update={"reuse": True}), folder)
    return export_agent(prepare(config, work), agent, work, seed)


def _chosen(names: list[str], agent: str | None, folder: Path) -> str:
    if not names:
        raise ValueError(f"{folder}: this study trained no agent, so there is none to export.")
    if agent is None and len(names) > 1:
        raise ValueError(
            f"{folder}: this study trained several agents; choose one with --agent: {', '.join(names)}."
        )
    if agent is not None and agent not in names:
        raise ValueError(
            f"agent {agent!r} is not in this study; choose one with --agent: {', '.join(names)}."
        )
    return agent or names[0]
