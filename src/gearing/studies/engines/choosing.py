"""The engine that an experiment names, started when it is first needed and ended with the experiment."""

from __future__ import annotations

from types import TracebackType

from gearing.studies.engines.cluster import RayEngine, check_ray
from gearing.studies.engines.engine import Engine
from gearing.studies.engines.local import LocalEngine
from gearing.studies.experiment import ExperimentConfig


class Engines:
    """The engine of an experiment; a context manager, whose end ends all processes of the engine."""

    def __init__(self, config: ExperimentConfig):
        if config.engine == "ray":
            check_ray(config.address)  # before anything is read or run
        self.config = config
        self._engine: Engine | None = None

    def open(self) -> Engine:
        """The engine, started if it is not running."""
        if self._engine is None:
            config = self.config
            is_local = config.engine == "local"
            self._engine = LocalEngine(config.jobs) if is_local else RayEngine(config.jobs, config.address)
        return self._engine

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.close()
