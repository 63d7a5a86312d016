"""Training of agents: stable-baselines3 algorithms and the differentiable agent; checkpoints.

Importing this package loads no heavy library; torch and stable-baselines3 are imported by the first name that needs
them.
"""

from __future__ import annotations

from gearing.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AgentSettings": "gearing.agents.settings",
        "agent_settings": "gearing.agents.settings",
        "agent_names": "gearing.agents.settings",
        "LearnedPolicy": "gearing.agents.policy.learned",
        "load_policy": "gearing.agents.policy.learned",
        "TrainedAgent": "gearing.agents.training",
        "train_agent": "gearing.agents.training",
        "growth_per_year": "gearing.agents.scoring",
        "TrainingDiverged": "gearing.agents.health",
    },
)
