"""What every experiment has, whatever its kind, and the register of kinds.

The ``kind`` of an experiment file says what is run. "study" (rules and agents over folds, the default) has a runner of
its own. Every other kind is a strict config and one function from it to its findings:

    class Erosion(ExperimentConfig):
        kind: Literal["erosion"] = "erosion"
        market: Market

    @experiment(Erosion)
    def erosion(config: Erosion, work: Work) -> Findings:
        market = config.market.open()
        work.on({"BTCUSDT": market})
        return Findings(tables={"funding": work.part("funding", lambda: ...)}, markets={"BTCUSDT": market}, line="...")

`gearing study`, `gearing show` and `gearing.run_study` then know it: tables, figures and the report are written, kept
and tracked by ``gearing.studies.running``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gearing.storage.atomic import write_atomically
from gearing.storage.digest import digest
from gearing.studies.fields import Section
from gearing.studies.seal import seal

if TYPE_CHECKING:
    import pandas as pd

    from gearing.market import MarketData

# Modules whose experiments ship; one line each.
_SHIPPED = (
    "gearing.questions.answers",
    "gearing.questions.case_study",
    "gearing.studies.study.history",
    "gearing.questions.methods",
    "gearing.studies.regret.run",
    "gearing.studies.sweep",
)
_GROUP = "gearing.experiments"  # entry points of installed packages that add their own


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
    """

    kind: str
    name: str
    question: str = ""
    tracking: Tracking = Tracking()
    output: str = "runs"

    @property
    def digest(self) -> str:
        """Hash of everything that results depend on; the same digest is the same experiment, taken up again."""
        return digest(self.model_dump(mode="json", exclude=self._beside))

    @property
    def key(self) -> str:
        """What folder and tracked run are called."""
        return f"{self.name}-{self.digest}"

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return Path(self.output) / self.key

    @property
    def _beside(self) -> set[str]:
        """Fields that change no result."""
        return {"kind", "name", "question", "tracking", "output"}

    def to_yaml(self) -> str:
        """All of it, defaults written out, as a file that runs again."""
        import yaml

        values = self.model_dump(mode="json", by_alias=True)
        asked = "" if "\n" in self.question else f"# {values.pop('question')}\n"
        return asked + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


@dataclass(frozen=True)
class Work:
    """What a running experiment may use.

    Attributes
    ----------
    folder : Path
        Of the results.
    tell : callable
        Tells a person, in a line, what is going on.
    """

    folder: Path
    tell: Callable[[str], None] = lambda text: None

    def on(self, markets: Mapping[str, MarketData]) -> None:
        """Say what the parts are made of: parts on disk that were made of other values are refused."""
        seal(self.folder, markets)

    def part(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A table that is made once: an experiment started again goes on behind the parts on disk."""
        import pandas as pd

        kept = self.folder / "parts" / f"{name}.parquet"
        if not kept.exists():
            self.tell(name)
            write_atomically(kept, make().to_parquet)
        return pd.read_parquet(kept)


@dataclass(frozen=True, eq=False)
class Findings:
    """What an experiment found.

    Attributes
    ----------
    line : str
        The answer in one readable line.
    tables : mapping of name to DataFrame
        The first is the one to look at first.
    figures : mapping of name to matplotlib figure
    metrics : mapping of name to number
        What a tracked run shows.
    markets : mapping of name to MarketData
        What was looked at; data and what was done to them stand in the report.
    notes : tuple of str
        What a reader must know beside the tables.
    """

    line: str
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    markets: Mapping[str, MarketData] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Run = Callable[[Any, Work], Findings]
_KINDS: dict[str, tuple[type[ExperimentConfig], Run]] = {}


def experiment(config: type[ExperimentConfig]) -> Callable[[Run], Run]:
    """Decorator: the function runs experiments of the config's kind."""
    name = str(config.model_fields["kind"].default)

    def register(run: Run) -> Run:
        _KINDS[name] = (config, run)
        return run

    return register


def kinds() -> dict[str, tuple[type[ExperimentConfig], Run]]:
    """Config and function of every registered kind; "study" is not among them."""
    from importlib.metadata import entry_points

    for module in _SHIPPED:
        import_module(module)
    for entry in entry_points(group=_GROUP):
        entry.load()
    return _KINDS


def config_class(kind: str) -> type[ExperimentConfig]:
    """What an experiment of a kind is made of.

    Raises
    ------
    ValueError
        For an unknown kind; the message names those there are.
    """
    from gearing.studies.study.config import StudyConfig

    if kind == "study":
        return StudyConfig
    if kind not in kinds():
        raise ValueError(f"kind {kind!r} is not known; there are {', '.join(['study', *sorted(kinds())])}.")
    return kinds()[kind][0]
