"""What every experiment has, whatever its kind, and the register of kinds.

The ``kind`` of an experiment file says what is run. A kind is a strict config and one function from it to its findings:

    class Erosion(ExperimentConfig):
        kind: Literal["erosion"] = "erosion"
        market: Market

    @experiment(Erosion)
    def erosion(config: Erosion, work: Work) -> Findings:
        market = config.market.open()
        work.on({"BTCUSDT": market})
        return Findings(tables={"funding": work.part("funding", lambda: ...)}, markets={"BTCUSDT": market}, line="...")

`gearing study`, `gearing show` and `gearing.run_study` then know it. `gearing.studies.work` runs its trials,
`gearing.studies.runner` writes and tracks its tables, figures and report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pandas as pd
import yaml
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializationInfo,
    SerializeAsAny,
    field_serializer,
    model_validator,
)

from gearing.evaluation.comparisons.comparison import Comparison
from gearing.market import MarketData
from gearing.names import Register
from gearing.plugins import absolute, load_plugins, plugins_digest
from gearing.storage.digest import code_digest, digest
from gearing.studies.fields import FileName, Section
from gearing.studies.sections import Exchange, Market, check_fee_level

# Modules and packages whose experiments ship; one line each.
_SHIPPED = (
    "gearing.studies.study.run",
    "gearing.studies.forecast.run",
    "gearing.studies.forecast.unseen.run",
    "gearing.studies.regret.run",
    "gearing.studies.portfolio.run",
    "gearing.studies.known_book.run",
    "gearing.studies.stress.run",
    "gearing.studies.promises.run",
    "gearing.studies.sweep",
    "gearing.questions",
)
# What an act takes from the experiment that it belongs to.
OF_THE_WHOLE = (
    "name", "tracking", "output", "engine", "jobs", "address", "retries", "reuse", "plugins", "acts",
)  # fmt: skip
# Kinds of former releases, and what to write instead.
_REPLACED = {
    "history": "Write kind: study, overlay: instead of controls:, forecast: null unless one is read, and shifts: 200 "
    "for the placebo test; groups: and directions: stay."
}


def _loaded(plugins: list[str]) -> list[str]:
    load_plugins(plugins)
    return [absolute(name) for name in plugins]


class Tracking(Section):
    """Where runs are recorded; without a URI, MLflow's own variables and then a local database."""

    enabled: bool = True
    uri: str | None = None
    experiment: str = "gearing"


class ExperimentConfig(Section):
    """What all experiments have.

    Attributes
    ----------
    kind : str
        What is run.
    name : str
        The file's name unless given.
    question : str
        The file's first comment unless given.
    tracking : Tracking
    output : str
        Folder of results.
    engine : {"local", "ray"}
        Where trials run: in processes of this machine, or as tasks of a Ray cluster.
    jobs : int
        Trials that run side by side.
    address : str, optional
        Of the Ray cluster, as in "auto" or "10.0.0.1:6379"; without, one is started on this machine.
    retries : int
        How often a trial that raises an error is run again before it counts as failed.
    reuse : bool
        Whether results that were made by other code count as done; the tables mark them.
    plugins : list of str
        Modules or files of your own that are imported before anything else is read, in every process: they register
        rules, controls, features, rewards or forecasters that the experiment names.
    acts : mapping of name to experiment, optional
        Experiments of any kind that run before this one, in its folder and as trials of its tracked run. The report
        shows what each found, and then this one. An act has no fields of `OF_THE_WHOLE`: those of this one hold.
    """

    kind: str
    name: FileName
    question: str = ""
    plugins: Annotated[list[str], AfterValidator(_loaded)] = Field(
        default_factory=list
    )  # before what names them
    tracking: Tracking = Tracking()
    output: str = "runs"
    engine: Literal["local", "ray"] = "local"
    jobs: int = Field(default=1, ge=1)
    address: str | None = Field(default=None, min_length=1)
    retries: int = Field(default=1, ge=0)
    reuse: bool = False
    acts: dict[FileName, SerializeAsAny[ExperimentConfig]] | None = Field(default=None, min_length=1)
    _part_of: tuple[str, str] | None = PrivateAttr(
        default=None
    )  # of an act: its experiment's key, its own name

    # Fields that change no result.
    not_hashed: ClassVar[frozenset[str]] = frozenset(
        {
            "kind", "name", "question", "searched", "tracking", "output", "engine", "jobs", "address", "retries",
            "reuse", "plugins",
        }
    )  # fmt: skip

    # Fields that change results only where they are given.
    if_given: ClassVar[frozenset[str]] = frozenset({"search", "acts"})

    @property
    def code(self) -> str:
        """Hash of the code that results are made by: gearing's, and that of the plugins."""
        return digest(code_digest(), plugins_digest(self.plugins)) if self.plugins else code_digest()

    @model_validator(mode="after")
    def _address_is_rays(self) -> ExperimentConfig:
        if self.address is not None and self.engine != "ray":
            raise ValueError(
                f"address {self.address!r} is that of a Ray cluster, and engine is {self.engine}. Write engine: ray, "
                "or drop address."
            )
        return self

    @model_validator(mode="after")
    def _fee_level_is_the_venues(self) -> ExperimentConfig:
        market, exchange = getattr(self, "market", None), getattr(self, "exchange", None)
        if isinstance(market, Market) and isinstance(exchange, Exchange):
            check_fee_level(market, exchange)
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON knows it."""
        values = self.model_dump(mode="json", exclude=set(self.not_hashed))
        return {
            name: value for name, value in values.items() if name not in self.if_given or value is not None
        }

    @property
    def digest(self) -> str:
        """Hash of the settings; the same digest is the same experiment, taken up again."""
        return digest(self.settings)

    @property
    def key(self) -> str:
        """What folder and tracked run are called; those of an act are its experiment's."""
        return f"{self.name}-{self.digest}" if self._part_of is None else self._part_of[0]

    @property
    def act(self) -> str | None:
        """Name of the act that it is; None of an experiment of its own."""
        return None if self._part_of is None else self._part_of[1]

    def as_act_of(self, whole: ExperimentConfig, name: str) -> Self:
        """The same as an act of another experiment: in its folder, its tracked run and its processes."""
        shared = {field: getattr(whole, field) for field in OF_THE_WHOLE if field != "acts"}
        act = self.model_copy(update=shared)
        act._part_of = (whole.key, name)
        return act

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return Path(self.output) / self.key

    @property
    def generated(self) -> Mapping[str, tuple[str, str]]:
        """Fingerprint and use of generated data that are no market of the findings, by name; those of acts."""
        acts = (self.acts or {}).values()
        return {data: known for act in acts for data, known in act.generated.items()}

    @field_serializer("acts", mode="plain")
    def _as_written(self, acts: Any, info: SerializationInfo) -> Any:
        """Acts without what they take from this experiment."""
        if acts is None:
            return None
        options: Any = {"mode": info.mode, "by_alias": info.by_alias, "exclude": set(OF_THE_WHOLE)}
        return {name: act.model_dump(**options) for name, act in acts.items()}

    def to_yaml(self) -> str:
        """All of it, defaults written out, as a file that runs again."""
        values = self.model_dump(mode="json", by_alias=True)
        values |= {"acts": acts} if (acts := values.pop("acts")) is not None else {}
        question = "" if "\n" in self.question else f"# {values.pop('question')}\n"
        return question + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


@dataclass(frozen=True, eq=False)
class Headline:
    """What stands for an experiment where it is one act of several.

    Attributes
    ----------
    table : DataFrame
        Its numbers.
    printed : DataFrame
        The same as texts, at most 80 columns wide with its names.
    figure : matplotlib figure, optional
    line : str
        The result in a sentence; by default the line of the findings.
    """

    table: pd.DataFrame
    printed: pd.DataFrame
    figure: Any = None
    line: str = ""


@dataclass(frozen=True, eq=False)
class Act:
    """What one act of an experiment found, as the report shows it.

    Attributes
    ----------
    name, question, line : str
    printed : DataFrame
        Texts.
    figure : str, optional
        Name of a figure of the findings.
    can, cannot : tuple of str
        Sentences on what can be concluded and what cannot.
    """

    name: str
    question: str
    line: str
    printed: pd.DataFrame
    figure: str | None = None
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Findings:
    """What an experiment found.

    Attributes
    ----------
    line : str
        The result in one readable line.
    tables : mapping of name to DataFrame
        The first is the one to look at first.
    figures : mapping of name to matplotlib figure
    metrics : mapping of name to number
        What a tracked run shows.
    markets : mapping of name to MarketData
        The data; what was done to them stands in the report.
    notes : tuple of str
        What a reader of the tables must know.
    printed : mapping of name to DataFrame
        Tables as a reader looks at them, where that differs from the file.
    results : mapping of trial to BacktestResult
        What policies did, where the experiment played any.
    bundle : Path, optional
        The policy that the experiment exported.
    models : mapping of name to Path
        Other models that were exported as ONNX graphs, each in a folder of its own.
    json : mapping, optional
        What is written as JSON, if not the tables.
    comparison : Comparison, optional
        Scores of the policies by task and seed.
    conclusions, limits : tuple of str
        What can be concluded and what cannot, in sentences; those of the comparison need not be given.
    main : str, optional
        The policy that metrics without a prefix belong to.
    evidence : mapping, optional
        What speaks for the exported policy, see `gearing.tracking.registry`.
    trial_metrics : sequence of (Result, metrics)
        What is known of a trial only when all are done.
    headline : Headline, optional
        Shown where the experiment is an act of another or has acts itself; by default its first table and figure.
    acts : tuple of Act
        Of an experiment with acts: each of them, and last the experiment itself.
    only_files : frozenset of str
        Tables that are neither printed nor in the report.
    """

    line: str
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    markets: Mapping[str, MarketData] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    printed: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    results: Mapping[Any, Any] = field(default_factory=dict)
    bundle: Path | None = None
    models: Mapping[str, Path] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    comparison: Comparison | None = None
    conclusions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    main: str | None = None
    evidence: Mapping[str, Any] | None = None
    trial_metrics: Sequence[tuple[Any, Mapping[str, float]]] = ()
    headline: Headline | None = None
    acts: tuple[Act, ...] = ()
    only_files: frozenset[str] = frozenset()


Run = Callable[[Any, Any], Findings]  # of the config and a gearing.studies.work.Work
Check = Callable[[Any], None]  # of the config
KINDS: Register[tuple[type[ExperimentConfig], Run, Check | None]] = Register(
    "kind", "gearing.experiments", _SHIPPED
)


def experiment(config: type[ExperimentConfig], check: Check | None = None) -> Callable[[Run], Run]:
    """Decorator: the function runs experiments of the config's kind.

    ``check`` raises a ValueError for what can be known to fail before anything is run; acts are all checked first.
    """

    def register(run: Run) -> Run:
        KINDS.add(str(config.model_fields["kind"].default), (config, run, check), source=run)
        return run

    return register


def config_class(kind: str) -> type[ExperimentConfig]:
    """What an experiment of a kind is made of.

    Raises
    ------
    ValueError
        For an unknown kind; the message suggests the nearest.
    """
    if kind in _REPLACED:
        raise ValueError(f"there is no kind {kind!r} any more. {_REPLACED[kind]}")
    return KINDS[kind][0]


def function_of(kind: str) -> Run:
    """What runs an experiment of a kind."""
    return KINDS[kind][1]


def check_before_run(config: ExperimentConfig) -> None:
    """Refuse what can be known to fail before anything is run.

    Raises
    ------
    ValueError
        By the check of the experiment's kind.
    """
    check = KINDS[config.kind][2]
    if check is not None:
        check(config)
