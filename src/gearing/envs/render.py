"""Rendering of accounts: the last step as text, the episode as a figure."""

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from gearing.drawing import BAD, figure_style, new_figure
from gearing.simulation.simulator import Simulator

RENDER_MODES = ["ansi", "rgb_array"]


@dataclass
class History:
    """The episode so far, one entry per decision."""

    time: list[np.datetime64] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    leverage: list[float] = field(default_factory=list)
    mark: list[float] = field(default_factory=list)
    liquidated: list[bool] = field(default_factory=list)

    def begin(self, simulator: Simulator, i: int) -> None:
        """Clear the last episode."""
        for values in vars(self).values():
            values.clear()
        self.add(simulator, i, liquidated=False)

    def add(self, simulator: Simulator, i: int, liquidated: bool) -> None:
        """Record where account i stands after a step, or at the beginning."""
        self.time.append(simulator.time[i])
        self.equity.append(float(simulator.accounts.equity[i]))
        self.leverage.append(float(simulator.view["effective_leverage"][i].sum()))
        self.mark.append(float(simulator.positions.mark[i, 0]))
        self.liquidated.append(liquidated)


class Frames:
    """What ``render`` shows of the accounts of a simulator; nothing is recorded without a render mode.

    Raises
    ------
    ValueError
        For an unknown render mode.
    """

    def __init__(self, simulator: Simulator, mode: str | None):
        if mode is not None and mode not in RENDER_MODES:
            raise ValueError(
                f"render_mode is {mode!r}; it must be one of {', '.join(RENDER_MODES)}, or None."
            )
        self._simulator, self.mode = simulator, mode
        drawn = simulator.n_accounts if mode == "rgb_array" else 0
        self._histories = [History() for _ in range(drawn)]

    def begin(self, mask: np.ndarray) -> None:
        """After a reset of the accounts in ``mask``."""
        for i in np.flatnonzero(mask[: len(self._histories)]):
            self._histories[i].begin(self._simulator, int(i))

    def add(self, mask: np.ndarray) -> None:
        """After a step of the accounts in ``mask``."""
        for i in np.flatnonzero(mask[: len(self._histories)]):
            self._histories[i].add(self._simulator, int(i), bool(self._simulator.steps.liquidations[i]))

    def of(self, i: int) -> Any:
        """Frame of account i: its last step as text ("ansi"), its episode as an image ("rgb_array"), or None."""
        if self.mode == "ansi":
            return text(self._simulator, i)
        if self.mode == "rgb_array":
            return figure(self._histories[i])
        gymnasium.logger.warn("render() was called without a render_mode; give one when the env is made.")
        return None


def text(simulator: Simulator, i: int) -> str:
    """The last step of account i, line by line."""
    step, account = simulator.steps[i], simulator.accounts[i]
    lines = [
        f"{simulator.time[i]} UTC  equity {account.equity:,.2f} ({step.equity - step.equity_before:+,.2f})",
        f"  price {step.price_pnl:+,.2f}  fees {step.fees:+,.2f}  funding {step.funding:+,.2f}  "
        f"liquidation {step.liquidation:+,.2f}",
    ]
    for slot, position in zip(simulator.slots, simulator.positions[i], strict=True):
        if position.quantity:
            lines.append(
                f"  {slot} {position.quantity:+g} at {position.entry_price:,.2f}, mark {position.mark:,.2f}, "
                f"unrealised {position.unrealised:+,.2f}, setting {position.leverage:g}x"
            )
        else:
            lines.append(f"  {slot} flat")
    return "\n".join(lines)


def figure(history: History) -> np.ndarray:
    """Equity, effective leverage and mark price of the episode so far, (height, width, 3) uint8.

    Red lines are liquidations. Equity is on a logarithmic scale, a ruined account at a thousandth of its start.
    """
    plot = _plot(history)
    plot.canvas.draw()
    return np.asarray(plot.canvas.buffer_rgba())[..., :3].copy()


@figure_style
def _plot(history: History) -> Any:
    """The figure of 640 by 480 pixels."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    plot = new_figure(8, 6)
    plot.set_dpi(80)
    axes = plot.subplots(3, 1, sharex=True)
    series = (
        ("equity [quote]", np.maximum(history.equity, 0.001 * history.equity[0])),
        ("effective leverage [x]", history.leverage),
        ("mark price", history.mark),
    )
    for axis, (name, values) in zip(axes, series, strict=True):
        # Leverage is what an interval ended with: a step, not a slope.
        axis.plot(history.time, values, lw=1.2, drawstyle="steps-pre" if "leverage" in name else "default")
        axis.set_ylabel(name)
        for when in np.asarray(history.time)[np.asarray(history.liquidated, bool)]:
            axis.axvline(when, color=BAD, lw=0.8)
    axes[0].set_yscale("log")
    for axis in (axes[0], axes[2]):
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    wide = max(history.equity) > 10.0 * axes[0].get_ylim()[0]
    axes[0].yaxis.set_minor_formatter(NullFormatter() if wide else StrMethodFormatter("{x:,.6g}"))
    return plot
