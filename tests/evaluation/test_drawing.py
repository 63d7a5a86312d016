"""Figures have one style, and bands where there are intervals."""

import numpy as np

from gearing.evaluation.drawing import band, colour, intervals, line, new_figure, png


def test_a_band_without_bounds_is_not_drawn():
    axis = new_figure(3, 2).subplots()
    band(axis, [0, 1], [np.nan, np.nan], [np.nan, np.nan], 0)
    assert not axis.collections
    band(axis, [0, 1], [0.0, 1.0], [1.0, 2.0], 0)
    assert len(axis.collections) == 1


def test_rows_stand_from_the_top_down_with_their_intervals():
    axis = new_figure(3, 2).subplots()
    intervals(axis, ["first", "second"], [1.0, 2.0], [0.5, np.nan], [1.5, np.nan], "growth")
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["first", "second"]
    bars = [drawn for drawn in axis.lines if len(drawn.get_xdata()) == 2]
    assert len(bars) == 1
    assert bars[0].get_xdata().tolist() == [0.5, 1.5]
    assert bars[0].get_ydata()[0] == 1  # the first row is on top


def test_rules_are_dashed_and_colours_repeat_with_other_dashes():
    assert line(0, learned=True)["ls"] == "-"
    assert line(0, learned=False)["ls"] == "--"
    assert colour(12) == colour(2)
    assert line(12, learned=True)["ls"] != line(2, learned=True)["ls"]


def test_figures_lose_the_frame_above_and_to_the_right():
    figure = new_figure(3, 2)
    axis = figure.subplots()
    assert png(figure).startswith(b"\x89PNG")
    assert not axis.spines["top"].get_visible()
    assert axis.spines["left"].get_visible()
