"""Training an agent on fresh synthetic markets, its weights chosen on the validation markets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.agents.settings import AgentSettings, agent_settings
from gearing.studies.regret.config import RegretConfig
from gearing.studies.trials import CHECKPOINT, Place

if TYPE_CHECKING:
    from gearing.agents import TrainedAgent


def settings_of(config: RegretConfig, name: str) -> AgentSettings:
    """Settings of an agent of the experiment."""
    return agent_settings(config.agents[name].hyper_parameters)


def train(config: RegretConfig, name: str, seed: int, place: Place) -> TrainedAgent:
    """Train an agent with a seed; a killed training goes on from its checkpoint."""
    from gearing.agents import train_agent

    return train_agent(
        settings_of(config, name), *config.markets(config.train, seed * config.train.count), config.simulation(),
        seed=seed, validation=config.markets(config.validate_), checkpoint_dir=place.folder / CHECKPOINT,
        resume="restart", run=place.run,
    )  # fmt: skip
