"""The tracked runs of an experiment and of its trials: names, descriptions, tags, parameters and data."""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gearing.market import MarketData
from gearing.storage.digest import package_version
from gearing.storage.revision import source_revision
from gearing.studies.experiment import ExperimentConfig, Findings
from gearing.studies.trials import Store, Trial
from gearing.tracking import Run, Tracker

NOTE = "mlflow.note.content"  # what MLflow's pages show as description
_NOT_PARAMETERS = {
    "name",
    "question",
    "tracking",
    "output",
    "plugins",
    "jobs",
    "engine",
    "address",
    "retries",
}
_BY_NAME = ("agents", "rules", "models", "combinations")  # their settings are parameters of the trials


@contextmanager
def study_run(config: ExperimentConfig, tracker: Tracker) -> Iterator[Run]:
    """The run of an experiment, with its settings; only one of several processes can have it open.

    Raises
    ------
    BlockingIOError
        If another process writes it.
    """
    tags = shared_tags(config) | {NOTE: _heading(config)}
    with tracker.run(config.name, key=config.key, tags=tags, patience=0.0) as run:
        run.log_params(study_parameters(config))
        yield run


@contextmanager
def trial_run(trial: Trial, store: Store, tracker: Tracker) -> Iterator[Run]:
    """The run of a trial, a child of its experiment's, with its settings and data."""
    config = store.config
    tags = shared_tags(config) | _as_texts(trial.tags(config)) | {NOTE: _about(trial, config)}
    key = f"{config.key}-{store.place(trial).name}"
    with tracker.run(trial.run_name, key=key, parent=config.key, tags=tags) as run:
        run.log_params({"experiment": config.name, **asdict(trial), **trial.parameters(config)})
        for name, fingerprint in trial.data(config, store.fingerprints).items():
            run.log_dataset(name, fingerprint, source=_source(config), context=trial.context)
        _record_generated(run, config)
        yield run


def record_result(run: Run, trial: Trial, config: ExperimentConfig, summary: Mapping[str, Any]) -> None:
    """Record what a trial found."""
    found = trial.metrics(summary)
    run.log_metrics(found)
    if "log_growth" in found:
        growth = f"Log growth {found['log_growth']:+.3f} a year."
        run.set_tags({NOTE: f"{_about(trial, config)}\n\n{growth}"})


def record_findings(run: Run, config: ExperimentConfig, findings: Findings, tracker: Tracker) -> None:
    """Record what an experiment found, and what is known of its trials only then."""
    _record_data(run, config, findings.markets)
    run.log_metrics(dict(findings.metrics))
    main = {"policy": findings.main} if findings.main else {}
    run.set_tags({"result": findings.line, NOTE: _description(config, findings), **main})
    for result, metrics in findings.trial_metrics:
        key = f"{config.key}-{result.folder.name}"
        with tracker.run(result.trial.run_name, key=key, parent=config.key) as child:
            child.log_metrics(dict(metrics))


def shared_tags(config: ExperimentConfig) -> dict[str, str]:
    """Tags of an experiment's run and of its trials."""
    revision = source_revision()
    known = {} if revision is None else {"mlflow.source.git.commit": revision, "revision": revision}
    act = {} if config.act is None else {"act": config.act}
    return {
        **act,
        "study": config.name,
        "kind": config.kind,
        "code": config.code,
        "gearing": package_version(),
        "mlflow.user": _user(),
        "mlflow.source.name": f"gearing study {config.name}",
        "mlflow.source.type": "LOCAL",
        **known,
    }


def study_parameters(config: ExperimentConfig) -> dict[str, Any]:
    """Settings of an experiment; of its policies only the names, since a trial has their settings."""
    values = config.model_dump(mode="json", by_alias=True, exclude=_NOT_PARAMETERS)
    names = {name: ", ".join(values[name]) or None for name in _BY_NAME if name in values}
    return {"experiment": config.name, **values, **names}


def _record_data(run: Run, config: ExperimentConfig, markets: Mapping[str, MarketData]) -> None:
    for name, market in markets.items():
        run.log_dataset(
            name, market.fingerprint, source=_source(config), context="study", bars=market.n_bars,
            contracts=", ".join(market.symbols), bar=market.bar, first=market.open_time[0],
            last=market.close_time[-1], **({"notes": "; ".join(market.notes)} if market.notes else {}),
        )  # fmt: skip
    _record_generated(run, config)


def _record_generated(run: Run, config: ExperimentConfig) -> None:
    for name, (fingerprint, context) in config.generated.items():
        run.log_dataset(name, fingerprint, source="generated", context=context)


def _heading(config: ExperimentConfig) -> str:
    return f"**{config.question}**" if config.question else f"**{config.name}**"


def _description(config: ExperimentConfig, findings: Findings) -> str:
    """Question and result; MLflow renders Markdown."""
    parts = [_heading(config), findings.line]
    if findings.main:
        parts.append(
            f"Metrics without a prefix are those of `{findings.main}`; `NAME/metric` are those of each policy."
        )
    return "\n\n".join(parts)


def _about(trial: Trial, config: ExperimentConfig) -> str:
    return f"{trial.about}, in the study `{config.name}`."


def _source(config: ExperimentConfig) -> str:
    market = getattr(config, "market", None)
    folder = getattr(market, "folder", None)
    return str(Path(folder).absolute()) if folder else "generated"


def _as_texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in tags.items() if value is not None}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return "unknown"
