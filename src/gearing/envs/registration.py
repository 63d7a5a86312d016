"""Register the environments with Gymnasium, without importing the rest of the package."""

from gymnasium.envs.registration import register, registry

PERPETUAL, BOOK = "gearing/Perpetual-v0", "gearing/Book-v0"
TASKS = ("MarketAFull", "MarketAHidden", "MarketB")


def register_environments() -> None:
    """Register all ids once."""
    if PERPETUAL not in registry:
        register(
            PERPETUAL,
            entry_point="gearing.envs.perpetual:PerpetualEnv",
            vector_entry_point="gearing.envs.vector:PerpetualVectorEnv",
        )
        register(BOOK, entry_point="gearing.envs.book:scalar", vector_entry_point="gearing.envs.book:vector")
        for task in TASKS:
            register(
                f"gearing/{task}-v0",
                entry_point="gearing.envs.tasks:scalar",
                vector_entry_point="gearing.envs.tasks:vector",
                kwargs={"task": task},
            )
