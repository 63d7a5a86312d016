"""Rendering of one account: the last step as text, the episode as a figure."""

from dataclasses import dataclass, field

import numpy as np

from gearing.simulation.simulator import Simulator


@dataclass
class History:
    """The episode so far, one entry per decision."""

    time: list[np.datetime64] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    leverage: list[float] = field(default_factory=list)
    mark: list[float] = field(default_factory=list)
    liquidated: list[bool] = field(default_factory=list)

    def begin(self, simulator: Simulator) -> None:
        """Clear the last episode."""
        for values in vars(self).values():
            values.clear()
        self.add(simulator, liquidated=False)

    def add(self, simulator: Simulator, liquidated: bool) -> None:
        """Record where the account stands after a step, or at the beginning."""
        self.time.append(simulator.time[0])
        self.equity.append(float(simulator.accounts.equity[0]))
        self.leverage.append(float(simulator.view["effective_leverage"][0].sum()))
        self.mark.append(float(simulator.positions.mark[0, 0]))
        self.liquidated.append(liquidated)


def text(simulator: Simulator) -> str:
    """The last step of the first account, line by line."""
    step, account = simulator.steps[0], simulator.accounts[0]
    lines = [
        f"{simulator.time[0]} UTC  equity {account.equity:,.2f} ({step.equity - step.equity_before:+,.2f})",
        f"  price {step.price_pnl:+,.2f}  fees {step.fees:+,.2f}  funding {step.funding:+,.2f}  "
        f"liquidation {step.liquidation:+,.2f}",
    ]
    for slot, position in zip(simulator.slots, simulator.positions[0], strict=True):
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    plot = Figure(figsize=(8, 6), dpi=80, layout="constrained")
    axes = plot.subplots(3, 1, sharex=True)
    series = (
        ("equity", np.maximum(history.equity, 0.001 * history.equity[0])),
        ("effective leverage", history.leverage),
        ("mark price", history.mark),
    )
    for axis, (name, values) in zip(axes, series, strict=True):
        # Leverage is what an interval ended with: a step, not a slope.
        axis.plot(history.time, values, lw=1.2, drawstyle="steps-pre" if "leverage" in name else "default")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        for when in np.asarray(history.time)[np.asarray(history.liquidated, bool)]:
            axis.axvline(when, color="tab:red", lw=0.8)
    axes[0].set_yscale("log")
    for axis in (axes[0], axes[2]):
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    wide = max(history.equity) > 10.0 * axes[0].get_ylim()[0]
    axes[0].yaxis.set_minor_formatter(NullFormatter() if wide else StrMethodFormatter("{x:,.6g}"))
    dates = AutoDateLocator()
    axes[2].xaxis.set_major_locator(dates)
    axes[2].xaxis.set_major_formatter(ConciseDateFormatter(dates))
    canvas = FigureCanvasAgg(plot)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
