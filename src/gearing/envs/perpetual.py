"""The Gymnasium env: a Simulator of one account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np

from gearing.envs.build import (
    INFO,
    account_seeds,
    build_simulator,
    check_options,
    oracle_totals,
    require_begun,
    shaped_actions,
    spaces_of,
)
from gearing.envs.render import RENDER_MODES, Frames
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData

if TYPE_CHECKING:
    import pandas as pd

_ONE = np.ones(1, np.bool_)  # the one account


class PerpetualEnv(gymnasium.Env[np.ndarray, Any]):
    """Choose leverage on perpetual futures, one decision interval at a time.

    ## Timing
    The agent sees everything known at the close of bar t. Its order fills at the open of bar t+1, at the last price
    plus slippage, taker fee charged. Liquidation is tested along every bar until the next decision on the mark
    price; funding settles at its own time stamps. A settlement at the moment of a fill
    does not touch the new position.

    ## Action
    ``Box(-1, 1, (n_contracts,))``, mapped by the action scheme to a target leverage of the margin share of equity:
    ``leverage``: -1 is flat, +1 is ``max_leverage`` (direction "free": -1 is full short); ``residual``: scales a
    base rule, 0 is the rule; ``tiers``: ``Discrete``, with ``action_masks()``.

    ## Observation
    ``Box(low, high, (n_columns,))``, float32, finite bounds per column, in the order printed by ``spec_table()``: the
    feature columns contract by contract, then per contract

    | name                 | meaning                                          | unit    | known at   |
    |----------------------|--------------------------------------------------|---------|------------|
    | effective_leverage   | signed notional at mark over equity              | -       | close of t |
    | margin_ratio         | maintenance margin over margin balance; 1 liquidates | -   | close of t |
    | liquidation_distance | relative move of the mark to liquidation         | -       | close of t |
    | unrealised_share     | unrealised PnL over equity                       | -       | close of t |

    then drawdown and free_share of the account. Values are raw; scaling belongs to the learned policy.

    ## Reward
    ln(equity at the next decision / equity at this one) by default, after fees, funding and liquidation.

    ## Info
    equity_before, equity, log_growth, price_pnl, fees, funding, liquidation, turnover [settle coin], lowest and highest
    equity at the closes of the step's bars, drawdown (the largest fall among them), liquidations, refused and capped
    orders of the step, and time, the moment of the next decision [ms since 1970, UTC].
    price_pnl + fees + funding + liquidation = equity - equity_before.

    ## Episode end
    * terminated: ruin, equity below ``ruin_fraction`` of its start or too small for the smallest order.
    * truncated: ``episode_length`` reached, or the last whole decision interval of the data is over. A liquidation
      alone does not end an episode.

    A step before the first ``reset`` raises ``gymnasium.error.ResetNeeded``. One after the end of an episode warns; its
    reward and ledger are 0.

    ## Arguments
    market (None: two years of synthetic market B), features (None: the default set; names; a FeatureSet; a FeatureTable
    with forecasts joined), oracle_growth (growth of a known oracle per bar, summed into ``info["oracle_growth"]``), and
    every field of :class:`gearing.SimulationConfig`.

    ## Version history
    * v0: first release.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": RENDER_MODES, "render_fps": 4}

    def __init__(
        self,
        market: MarketData | Sequence[MarketData] | None = None,
        features: FeatureTable | FeatureSet | Sequence[str] | None = None,
        render_mode: str | None = None,
        oracle_growth: np.ndarray | None = None,
        **settings: Any,
    ):
        self.simulator = build_simulator(market, features, 1, 1, settings)
        self.observation_space, self.action_space = spaces_of(self.simulator)
        self.render_mode = render_mode
        self._oracle = oracle_totals(oracle_growth, self.simulator)
        self._over = np.zeros(1, np.bool_)
        self._frames = Frames(self.simulator, render_mode)
        self._look_up()

    def _look_up(self) -> None:
        """Look up once what every step reads: attribute access of a recarray costs microseconds."""
        self._step = self.simulator.steps.view(np.ndarray)
        self._row = self.simulator.accounts.view(np.ndarray)["row"]
        self._times = self.simulator.tape.row_time.view(np.int64)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._look_up()  # in the arrays of the copied simulator

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; with a seed, episode 0 of that seed, else the next one. There are no options."""
        check_options(options)
        super().reset(seed=seed)
        simulator = self.simulator
        simulator.reset(account_seeds(self, seed, _ONE))
        self._over[:] = False
        self._frames.begin(_ONE)
        info = {"time": self._time(), "equity": float(simulator.accounts.equity[0])}
        return simulator.observations[0].copy(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Hold the target of ``action`` for one decision interval."""
        simulator = self.simulator
        require_begun(simulator)
        if self._over[0]:
            return self._rest()
        first = self._row.item(0)
        reward = simulator.step(simulator.targets(shaped_actions(simulator, action)))
        *values, terminated, truncated = self._step.item(0)
        info: dict[str, Any] = dict(zip(INFO, values, strict=True))
        info["time"] = self._time()
        if self._oracle is not None:
            info["oracle_growth"] = float(self._oracle[self._row.item(0)] - self._oracle[first])
        if self.render_mode is not None:
            self._frames.add(_ONE)
        self._over[0] = terminated or truncated
        return simulator.observations[0].copy(), reward.item(0), bool(terminated), bool(truncated), info

    def _rest(self) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A step after the end: nothing happens, as in Gymnasium's own environments."""
        gymnasium.logger.warn(
            "step() was called after the end of the episode: nothing happens; call reset()."
        )
        simulator, equity = self.simulator, float(self.simulator.accounts.equity[0])
        info: dict[str, Any] = dict.fromkeys(INFO, 0.0) | dict.fromkeys(
            ("liquidations", "refused", "capped"), 0
        )
        info |= dict.fromkeys(("equity_before", "equity", "lowest", "highest"), equity) | {
            "time": self._time()
        }
        if self._oracle is not None:
            info["oracle_growth"] = 0.0
        ended = bool(simulator.terminated[0]), bool(simulator.truncated[0])
        return simulator.observations[0].copy(), 0.0, *ended, info

    def _time(self) -> int:
        """Moment of the next decision [ms since 1970, UTC]."""
        return int(self._times[min(self._row.item(0), self._times.size - 1)])

    def action_masks(self) -> np.ndarray:
        """Which choices of a discrete action space the margin tiers allow now (sb3-contrib's convention)."""
        require_begun(self.simulator)
        return self.simulator.action_masks().reshape(-1)

    def spec_table(self) -> pd.DataFrame:
        """The observation columns with bounds and units (pandas)."""
        return self.simulator.layout.table()

    def render(self) -> Any:
        """The last step's ledger as text ("ansi"), or equity, leverage and price as an image ("rgb_array")."""
        if self.render_mode is not None:
            require_begun(self.simulator)
        return self._frames.of(0)
