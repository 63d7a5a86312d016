"""Rules, controls and agents of an experiment file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from gearing.agents.hyperparameter_checks import check_hyperparameters
from gearing.agents.settings import AgentSettings, agent_settings
from gearing.names import check_names
from gearing.policies.registry import describe_rule, make_control
from gearing.studies.fields import Action, Column, Duration, EachOnce, Named, Reward, by_name, check_column
from gearing.studies.named.policy import content_digest, named_policy
from gearing.studies.sections import MOST_SEEDS, MOST_YEARS, Generator


class Made(Named):
    """A rule or a control."""

    maker: ClassVar[Any]  # builds one from a mapping of its name and parameters

    def make(self) -> Any:
        """The rule or control itself."""
        return type(self).maker({self.named_by: getattr(self, self.named_by), **self.settings})

    def check(self) -> None:
        """Refuse an unknown name, parameter or column."""
        for column in self.make().required_columns:
            check_column(column)


class Control(Made):
    """A risk control: ``{control: stop_loss, margin: 0.3}``, or only its name."""

    named_by = "control"
    maker = make_control

    control: str


class Rule(Made):
    """A policy without training: ``{rule: volatility_target, target: 1.0}``, or only its name.

    Attributes
    ----------
    rule : str
        A registered rule, a class of your own (``my_policy.py:Mine``), or the zip of a stable-baselines3 model; see
        `gearing.studies.named.policy`.
    controls : list of Control, optional
        Instead of the experiment's.
    """

    named_by = "rule"

    rule: str
    controls: list[Control] | None = None

    def make(self) -> Any:
        """The policy itself."""
        return named_policy(self.rule, self.settings)

    @property
    def is_own(self) -> bool:
        """Whether it comes from a file of the user's own."""
        return content_digest(self.rule, self.settings) is not None

    @property
    def identity(self) -> dict[str, Any]:
        """What its results depend on: its settings, and the content of the file that it comes from, if any."""
        content = content_digest(self.rule, self.settings)
        return self.model_dump(mode="json") | ({} if content is None else {"content": content})

    @property
    def parameters(self) -> dict[str, Any]:
        """Its name and parameters; of a registered rule with defaults."""
        return {"rule": self.rule, **self.settings} if self.is_own else describe_rule(self.make())


Some = Annotated[list[str], Field(min_length=1), EachOnce]  # names
# A number of them, which count up from 0, or the seeds themselves.
Seeds = (
    Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    | Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1), EachOnce]
)
# A plain list of names, or names with the rule and its settings.
Rules = Annotated[dict[str, Rule], BeforeValidator(by_name)]


class Pretraining(Generator):
    """Training on a synthetic market before the real one.

    Attributes
    ----------
    seed, years : of the paths
    decisions : int
    """

    seed: int = Field(default=0, ge=0)
    years: float = Field(default=40.0, gt=0.0, le=MOST_YEARS)
    decisions: int = Field(default=1_000_000, ge=1)


class Learner(Named):
    """A learning algorithm: ``{algorithm: ppo, task: market_a_full}``, or only its name.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`.
    """

    named_by = "algorithm"

    algorithm: str

    def check(self) -> None:
        """Refuse an unknown algorithm, task or hyper-parameter."""
        check_names("no field", self.settings, [*self.field_names(), *AgentSettings.__dataclass_fields__])
        made = agent_settings({**self.settings, "algorithm": self.algorithm})
        if {"network", "parameters"} & self.settings.keys():  # those that ship are tested; this imports torch
            check_hyperparameters(made)

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """What `gearing.agents.agent_settings` takes."""
        return {**self.settings, "algorithm": self.algorithm}


class Agent(Learner):
    """A learned policy: ``{algorithm: ppo, action: residual, base: tiered}``, or only its algorithm.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`: whatever differs from the algorithm's hyper-parameters.
    action : str, optional
        Name of an action scheme; "residual" scales the leverage of the rule ``base``. Default: "residual" where a
        base is named, else "leverage".
    columns : list of str, optional
        Features and groups of them, "forecast" and "excursions"; default: the study's.
    reward : str
        Of agents that learn by reward.
    steps, envs, episode_length : optional
        The settings ``total_decisions``, ``n_accounts`` and ``episode`` in short.
    interval : duration, optional
        Its own decision interval.
    bootstrap : int
        Block-bootstrap paths of the training span that are added for each contract.
    pretrain : Pretraining, optional
    choose : bool
        Whether the weights are chosen on validation; False takes the last ones.
    controls : list of Control, optional
        Instead of the study's, in training as in the test.
    seeds : int or list of int, optional
        Instead of the study's.
    groups, directions : list of str, optional
        Only these of the study.
    """

    algorithm: str = "ppo"
    action: Action | None = None
    base: str | None = None
    columns: list[Column] | None = Field(default=None, min_length=1)
    reward: Reward = "log_growth"
    steps: int | None = Field(default=None, ge=1)
    envs: int | None = Field(default=None, ge=1)
    episode_length: Duration | None = None
    interval: Duration | None = None
    bootstrap: int = Field(default=0, ge=0)
    pretrain: Pretraining | None = None
    choose: bool = True
    controls: list[Control] | None = None
    seeds: Seeds | None = None
    groups: Some | None = None
    directions: Some | None = None

    @model_validator(mode="after")
    def _residual_has_a_base(self) -> Agent:
        if self.action == "residual" and self.base is None:
            raise ValueError(
                "action 'residual' scales the leverage of a rule: name it, as in base: volatility_weighted."
            )
        if self.action not in (None, "residual") and self.base is not None:
            raise ValueError(f"action {self.action!r} scales no rule. Drop base, or write action: residual.")
        return self

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """What `gearing.agents.agent_settings` takes."""
        short = {"total_decisions": self.steps, "n_accounts": self.envs, "episode": self.episode_length}
        given = {name: value for name, value in short.items() if value is not None}
        return {**given, **super().hyper_parameters}


# A plain list of algorithms, or names with the algorithm and its settings.
Agents = Annotated[dict[str, Agent], BeforeValidator(by_name)]
