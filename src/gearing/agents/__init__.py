"""Training of agents: stable-baselines3 algorithms and the differentiable agent; checkpoints.

Importing this package loads no heavy library; torch and stable-baselines3 are imported by the first name that needs
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.agents.learner import Learner as Learner, TrainingDiverged as TrainingDiverged
    from gearing.agents.own.functions import from_callable as from_callable
    from gearing.agents.own.normalisation import save_normalisation as save_normalisation
    from gearing.agents.own.sb3 import from_sb3 as from_sb3
    from gearing.agents.own.torch_module import from_torch as from_torch
    from gearing.agents.policy.learned import LearnedPolicy as LearnedPolicy, load_policy as load_policy
    from gearing.agents.scoring import Scorer as Scorer, growth_per_year as growth_per_year
    from gearing.agents.settings import (
        AgentSettings as AgentSettings,
        agent_names as agent_names,
        agent_settings as agent_settings,
    )
    from gearing.agents.training import TrainedAgent as TrainedAgent, train_agent as train_agent
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
