"""A report is made from the folder alone, says what the numbers allow, and how to repeat the experiment."""

import json
import re

import pytest
from tests.evaluation.reports.test_document import Page

from gearing.cli import run
from gearing.studies.reporting.pages import document_of, write_report
from gearing.studies.reporting.record import RECORD
from gearing.studies.runner import run_study

EXPERIMENT = """\
# Does <b>volatility</b> pay?
market: {seed: 2, years: 1}
folds: {train: 60d, validate: 20d, test: 40d, count: 2}
decision: {max_leverage: 20, margin_share: 0.3}
forecast: null
rules: [fixed_1x, volatility_weighted]
agents:
  small: {algorithm: differentiable, columns: [realized_volatility_24h], steps: 256, envs: 8, episode_length: 20d}
seeds: 2
tracking: {enabled: false}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "pays.yaml").write_text(EXPERIMENT)
    return run_study(folder / "pays.yaml", [f"output={folder / 'runs'}"])


def test_the_page_holds_everything_and_loads_nothing(done):
    text = (done.folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert len(page.addresses) == len(done.figures) + len(done.comparison.figure_names)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    for said in (
        "Does <b>volatility</b> pay?",
        done.findings.line,
        "What cannot be concluded",
        "less fixed, same mean",
        "volatility_weighted",
        "fold 0: train",
        next(iter(done.findings.markets.values())).fingerprint,
        "taker 0.0500%",
        "gearing study experiment.yaml",
        "margin_share: 0.3",
        "torch ",
        done.config.code,
    ):
        assert said in page.text, said


def test_sentences_are_made_from_the_numbers(done):
    row = done.comparison.growth.loc["volatility_weighted"]
    text = (done.folder / "report.md").read_text(encoding="utf-8")
    if row.versus_low > 0.0 or row.versus_high < 0.0:
        assert f"than fixed_1x: {row.versus:+.2f}" in text
    else:
        assert re.search(rf"Whether volatility_weighted grows faster than fixed_1x \({row.versus:+.2f}", text)
    assert "Few seeds (small 2)" in text
    assert "is generated: nothing here is a claim about real prices" in text


def test_the_report_is_written_again_from_the_folder(done, tmp_path, capsys):
    before = (done.folder / "report.html").read_text(encoding="utf-8")
    assert run(["report", str(done.folder), "--output", str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy" / "report.html").read_text(encoding="utf-8") == before
    assert "report.html" in capsys.readouterr().out


def test_a_folder_of_something_else_is_refused(done, tmp_path, capsys):
    assert run(["report", str(tmp_path / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err
    (tmp_path / "experiment.yaml").write_text("kind: study")
    with pytest.raises(ValueError, match=r"has not finished.*gearing study"):
        write_report(tmp_path)
    (tmp_path / RECORD).write_text("[1]")
    with pytest.raises(ValueError, match=RECORD):
        write_report(tmp_path)
    (tmp_path / RECORD).write_text(json.dumps({"name": "half"}))
    with pytest.raises(ValueError, match="damaged"):
        write_report(tmp_path)


def test_a_missing_figure_is_named(done, tmp_path):
    (done.folder / "all.png").rename(tmp_path / "all.png")
    try:
        assert "The figure all.png is missing" in document_of(done.folder).as_markdown()
    finally:
        (tmp_path / "all.png").rename(done.folder / "all.png")
