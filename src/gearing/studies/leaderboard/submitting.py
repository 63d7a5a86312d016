"""Playing the tasks of the leaderboard: a submission, or the rules and agents that the tasks name themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gearing.evaluation.conformance import PolicyError
from gearing.plugins import users_frame
from gearing.simulation.hooks import hooks_of
from gearing.storage.digest import digest
from gearing.studies.engines.failures import comes_again
from gearing.studies.leaderboard.rows import made_row
from gearing.studies.leaderboard.scores import scores_of
from gearing.studies.leaderboard.tasks import SUBMISSION, Task
from gearing.studies.named.policy import content_digest, named_policy
from gearing.studies.runner import Experiment, run_study

Tell = Callable[[str], None]


def submit(
    policy: str,
    settings: Mapping[str, Any],
    tasks: Sequence[Task],
    *,
    name: str | None = None,
    overrides: Iterable[str] = (),
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Play the tasks with a policy.

    Parameters
    ----------
    policy, settings : as `gearing.studies.named.policy.named_policy`
    tasks : sequence of Task
    name : str, optional
        Of the entry; by default the last part of the policy's name.
    overrides : iterable of str
        ``section.key=value`` for all tasks, of ``output`` and ``jobs``; others would be another task.

    Returns
    -------
    dict
        The row, see `gearing.studies.leaderboard.rows.made_row`. A task that cannot be played here, or in which the
        policy cannot act, is skipped, with the reason.

    Raises
    ------
    PolicyError
        If the policy breaks the conformance suite (:func:`gearing.check_policy`), which every task runs first.
    ValueError
        If it reads the future on purpose (a hook that is given whole tables), or no task could be played.
    """
    _check_hooks(named_policy(policy, settings), policy)
    entered = {"rule": policy, **settings}
    found: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for task in tasks:
        reason = task.missing
        if reason is None:
            tell(f"{task.name}: {task.question}")
            reason = _played(task, entered, tuple(overrides), found)
        if reason is not None:
            skipped[task.name] = reason
            tell(f"{task.name}: skipped, {reason}")
    if not found:
        reasons = "\n".join(f"  {task}: {reason}" for task, reason in skipped.items())
        raise ValueError(f"{policy} played none of the tasks:\n{reasons}")
    content = digest(entered, content_digest(policy, settings))
    return made_row(name or _short(policy), entered, content, found, skipped)


def _played(
    task: Task, policy: Mapping[str, Any], overrides: tuple[str, ...], found: dict[str, Any]
) -> str | None:
    """Play a task and add its score; else the reason why the policy cannot act in it."""
    try:
        done = run_study(task.entered(policy, *overrides))
    except PolicyError:
        raise
    except (ValueError, TypeError) as error:
        if users_frame(error) is not None:
            raise  # a fault in the user's own code
        return " ".join(str(error).split())
    for failure in done.failures:
        if comes_again(failure.error):
            raise failure.error  # of the user's own code, too
    for name, score in scores_of(done):
        if name == SUBMISSION:
            found[task.name] = _entry(task, done, score)
            return None
    return "; ".join(dict.fromkeys(done.failed["error"])) or "it has no result"


def reference_rows(
    tasks: Sequence[Task],
    overrides: Iterable[str] = (),
    tell: Tell = lambda text: None,
    earlier: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Rows of the rules and agents that the tasks name, and of the oracle where one is known.

    Parameters
    ----------
    earlier : iterable of rows
        Their scores in tasks that are not played now stay, with the digest of the code that made them.
    """
    found: dict[str, dict[str, Any]] = {}
    policies: dict[str, dict[str, Any]] = {}  # settings of each name by task
    for task in tasks:
        if task.missing is not None:
            tell(f"{task.name}: skipped, {task.missing}")
            continue
        tell(f"{task.name}: {task.question}")
        config = task.config(*overrides)
        done = run_study(config)
        for name, score in scores_of(done):
            found.setdefault(name, {})[task.name] = _entry(task, done, score)
            given = {**getattr(config, "rules", {}), **getattr(config, "agents", {})}
            if name in given:
                policies.setdefault(name, {})[task.name] = given[name].model_dump(mode="json")
    before = {row["name"]: row for row in earlier}
    return [
        _reference_row(name, found[name], policies.get(name, {}), tasks, before.get(name)) for name in found
    ]


def _reference_row(
    name: str,
    scores: Mapping[str, Any],
    policies: Mapping[str, Any],
    tasks: Sequence[Task],
    earlier: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The row of a reference; scores of an earlier one stay where they are not played now."""
    skipped = {
        task.name: "not among the references of this task" for task in tasks if task.name not in scores
    }
    if earlier is not None:
        stay = {task: {"code": earlier["code"], **score} for task, score in earlier["tasks"].items()}
        scores, skipped = {**stay, **scores}, {**earlier["skipped"], **skipped}
        policies = {task: earlier["policy"][task] for task in stay if task in earlier["policy"]} | dict(
            policies
        )
    skipped = {task: reason for task, reason in skipped.items() if task not in scores}
    return made_row(name, policies or {"rule": name}, digest(policies or name), scores, skipped)


def _entry(task: Task, done: Experiment, score: dict[str, Any]) -> dict[str, Any]:
    """A score with the task and the data that it was played on."""
    data = {name: market.fingerprint for name, market in done.findings.markets.items()}
    return {**score, "task": task.digest, "data": data or {"generated": task.digest}}


def _check_hooks(policy: Any, name: str) -> None:
    """Refuse hooks that are given the whole table or simulator: a submission sees its columns, close by close."""
    from gearing.agents import LearnedPolicy
    from gearing.export import BundlePolicy

    hooks = hooks_of(policy)
    given = [hook for hook in ("join", "precomputed") if getattr(hooks, hook) is not None]
    if given and not isinstance(policy, LearnedPolicy | BundlePolicy):
        raise ValueError(
            f"{name} has the hook {given[0]!r}, which is given later bars, too; a submission decides by its columns at "
            "each close. Remove the hook."
        )


def _short(policy: str) -> str:
    """The last part of a policy's name, as a file may be called."""
    last = policy.rpartition(":")[2] if ":" in policy else Path(policy.rstrip("/")).stem
    return last or policy
