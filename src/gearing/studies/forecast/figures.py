"""Figures of a forecasting experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.drawing import REFERENCE, WIDTH, figure_style, legend_below, new_figure, percent
from gearing.forecasters.scoring.scores import qlike
from gearing.forecasters.targets import annual_volatility
from gearing.studies.fields import as_time

if TYPE_CHECKING:
    from gearing.studies.forecast.report import ForecastReport


def report_figures(report: ForecastReport) -> dict[str, Any]:
    """Matplotlib figures by name: forecast against realised, calibration, loss over time, years."""
    symbol = next(iter(report.forecasts))
    return {
        "forecast": forecast_figure(report, symbol),
        "calibration": calibration_figure(report, symbol),
        "loss": loss_figure(report, symbol),
        "years": years_figure(report),
    }


@figure_style
def forecast_figure(report: ForecastReport, symbol: str, days: int = 730) -> Any:
    """Forecast and realised volatility of the last two years."""
    horizon, whole = report.config.horizon, report.forecasts[symbol][report.chosen]
    made = whole.take(whole.rows.known_at >= whole.rows.known_at.max() - np.timedelta64(days, "D"))
    figure, axes = _axes(f"{symbol}: forecast for the next {horizon}, and what followed")
    axes.set_ylabel("volatility [% a year]")
    percent(axes.yaxis)
    for variance, width, label in ((made.rows.y, 0.7, "realised"), (made.value, 1.5, report.chosen)):
        axes.plot(made.rows.known_at, annual_volatility(variance, horizon), lw=width, label=label)
    legend_below(figure)
    return figure


@figure_style
def calibration_figure(report: ForecastReport, symbol: str, bins: int = 20) -> Any:
    """Mean realised against mean forecast variance in bins of the forecast; right on the diagonal."""
    figure, axes = _axes(f"{symbol}: calibration")
    for name in dict.fromkeys((report.config.reference, report.chosen)):
        made = report.forecasts[symbol][name]
        known = made.rows.trainable
        parts = np.array_split(np.argsort(made.value[known]), bins)
        points = [(made.value[known][part].mean(), made.rows.y[known][part].mean()) for part in parts]
        axes.loglog(*np.transpose(points), marker="o", lw=1.0, label=name)
    ends = np.array(axes.get_xlim())
    axes.loglog(ends, ends, **REFERENCE, label="perfect")
    axes.set(xlabel="forecast variance, mean of bin", ylabel="realised variance, mean of bin")
    legend_below(figure)
    return figure


@figure_style
def loss_figure(report: ForecastReport, symbol: str) -> Any:
    """Running sum of QLIKE less the reference's: falling means better."""
    models = report.forecasts[symbol]
    rows = models[report.config.reference].rows
    known = rows.trainable
    reference = qlike(rows.y[known], models[report.config.reference].value[known])
    figure, axes = _axes(f"{symbol}: loss over time; models were chosen left of the line")
    axes.set_ylabel(f"sum of QLIKE less {report.config.reference}'s")
    best = report.table.loc[symbol]["qlike"].nsmallest(5).index
    for name in dict.fromkeys((report.chosen, *best)):
        difference = qlike(rows.y[known], models[name].value[known]) - reference
        axes.plot(rows.known_at[known], np.cumsum(difference), lw=1.3, label=name)
    axes.axvline(as_time(report.config.choose_before), **REFERENCE, ls="--")
    legend_below(figure)
    return figure


@figure_style
def years_figure(report: ForecastReport) -> Any:
    """Ratio to the reference in every year."""
    figure, axes = _axes(f"{report.judged}: year by year")
    axes.set_ylabel(f"QLIKE over {report.config.reference}'s")
    years = report.by_year.loc[report.judged]
    best = report.table.loc[report.judged]["qlike"].nsmallest(6).index
    for name in dict.fromkeys((report.chosen, *best)):
        axes.plot(years.columns.astype(str), years.loc[name], marker="o", label=name)
    axes.axhline(1.0, **REFERENCE)
    legend_below(figure)
    return figure


def _axes(title: str) -> tuple[Any, Any]:
    figure = new_figure(WIDTH, 4.2)
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes
