"""Figures have one style, and bands where there are intervals."""

import ast
from pathlib import Path

import matplotlib as mpl
import numpy as np

import gearing
from gearing.drawing import (
    COLOURS,
    WIDTH,
    band,
    colour,
    figure_style,
    intervals,
    legend_below,
    line,
    new_figure,
    over_seeds,
    percent,
    plain_log,
    png,
    short_numbers,
)


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
    assert len(set(COLOURS)) == 10
    assert line(12, learned=True)["ls"] != line(2, learned=True)["ls"]


@figure_style
def _drawn():
    figure = new_figure(WIDTH, 2)
    figure.subplots().plot([0, 1], [0, 1], label="one")
    return figure


def test_figures_have_the_style_and_matplotlib_keeps_its_settings():
    before = dict(mpl.rcParams)
    figure = _drawn()
    assert dict(mpl.rcParams) == before
    axis = figure.axes[0]
    assert not axis.spines["top"].get_visible()
    assert axis.spines["left"].get_visible()
    assert axis.lines[0].get_color() == colour(0)
    figure.canvas.draw()  # as a notebook does, outside the style
    assert {tick.label1.get_fontsize() for tick in axis.xaxis.get_major_ticks()} == {9.0}


def test_a_figure_fills_a_page_of_900_pixels_and_is_sharper_than_it():
    content = png(_drawn())
    assert content.startswith(b"\x89PNG")
    width = int.from_bytes(content[16:20], "big")  # of the header
    assert width == 1148  # 8.2 inches at 140 dots


def test_seeds_are_their_median_and_a_band_from_the_lowest_to_the_highest():
    axis = new_figure(3, 2).subplots()
    table = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, np.nan], [8.0, np.nan, np.nan]])
    over_seeds(axis, [0, 1, 2], table, 1, label="agent")
    middle = axis.lines[0].get_ydata()
    assert middle[:2].tolist() == [3.0, 3.0]  # medians of 1, 3, 8 and of 2, 4
    assert np.isnan(middle[2])  # no seed has a value: a gap, without a warning
    edges = axis.collections[0].get_paths()[0].vertices
    assert (edges[:, 1].min(), edges[:, 1].max()) == (1.0, 8.0)
    over_seeds(axis, [0, 1, 2], table[:1], 1)
    assert len(axis.collections) == 1  # one seed has no band


def test_a_legend_below_names_every_mark_once():
    figure = new_figure(6, 2)
    for axis in figure.subplots(1, 2):
        axis.plot([0, 1], [0, 1], label="fixed_3x")
    figure.axes[1].plot([0, 1], [1, 0], label="ppo")
    legend_below(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fixed_3x", "ppo"]
    empty = new_figure(3, 2)
    empty.subplots()
    legend_below(empty)
    assert not empty.legends


def test_axes_are_labelled_in_per_cent_and_in_plain_numbers():
    axis = new_figure(4, 3).subplots()
    percent(axis.xaxis)
    assert axis.xaxis.get_major_formatter()(0.25) == "25%"
    axis.set_yscale("log")
    axis.set_ylim(1.5, 30.0)
    plain_log(axis.yaxis)
    shown = [value for value in axis.get_yticks() if 1.5 <= value <= 30.0]
    assert [axis.yaxis.get_major_formatter()(value) for value in shown] == ["2", "5", "10", "20"]
    short_numbers(axis.xaxis)
    assert [axis.xaxis.get_major_formatter()(x) for x in (0.25, 50_000, 1_500_000)] == ["0.25", "50k", "1.5M"]


def _sources():
    paths = sorted(Path(gearing.__file__).parent.rglob("*.py"))
    return {path: path.read_text(encoding="utf-8") for path in paths if path.name != "drawing.py"}


def test_whoever_makes_a_figure_does_it_in_the_style():
    found = 0
    for path, source in _sources().items():
        if "new_figure(" not in source:
            continue
        for node in ast.parse(source).body:
            if not isinstance(node, ast.FunctionDef) or "new_figure(" not in ast.unparse(node):
                continue
            found += 1
            helper = node.name == "_axes"  # of functions that have the style
            assert helper or "figure_style" in map(ast.unparse, node.decorator_list), (path, node.name)
    assert found > 15


def test_no_other_module_makes_figures_of_its_own():
    own = [p for p, source in _sources().items() if "matplotlib.figure" in source or "pyplot" in source]
    assert not own
