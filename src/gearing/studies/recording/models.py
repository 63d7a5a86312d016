"""Models that an experiment made: registered once for each content, as challengers, with what speaks for them."""

from pathlib import Path
from typing import Any

from gearing.storage.text import read_json
from gearing.studies.experiment import ExperimentConfig, Findings
from gearing.tracking import Run
from gearing.tracking.models import CHALLENGER
from gearing.tracking.registry import EVIDENCE_TAG, write_evidence

NETWORK = "policy.onnx"  # of a bundle; a rule has none
RECIPE = "recipe.json"  # next to a forecaster's graph
EXAMPLE = "example"  # in it: a row of the graph's input


def record_models(run: Run, config: ExperimentConfig, findings: Findings, example: Any) -> None:
    """Log forecasters and the policy of the bundle; ``example()`` is an observation of the policy, by column."""
    for name, graph in findings.models.items():
        row = read_json(graph.parent / RECIPE, dict).get(EXAMPLE)
        run.log_model(
            graph, f"model-{name}", extra_files=graph.parent, register_as=f"{config.name}-{name}", aliases=[CHALLENGER],
            example=row, tags=_tags(config), description=findings.line,
        )  # fmt: skip
    if findings.bundle is not None and (findings.bundle / NETWORK).is_file():
        _record_policy(run, config, findings, findings.bundle, example())


def _record_policy(
    run: Run, config: ExperimentConfig, findings: Findings, bundle: Path, example: dict[str, float]
) -> None:
    tags = _tags(config)
    if findings.evidence is not None:
        name, text = write_evidence(findings.evidence)
        run.log_text(text, name)
        tags |= {EVIDENCE_TAG: name, "policy": str(findings.evidence["policy"])}
    run.log_model(
        bundle / NETWORK, "policy", extra_files=bundle, register_as=config.name, aliases=[CHALLENGER], example=example,
        tags=tags, description=_description(config, findings),
    )  # fmt: skip


def _tags(config: ExperimentConfig) -> dict[str, str]:
    return {"study": config.name, "settings": config.digest, "code": config.code}


def _description(config: ExperimentConfig, findings: Findings) -> str:
    question = f"**{config.question}**\n\n" if config.question else ""
    return (
        f"{question}{findings.line}\n\nInput: a row of the policy's observation; output: target leverage, or the "
        "factor of the base rule. The bundle, which decides from bars and an account, is in `artifacts`."
    )
