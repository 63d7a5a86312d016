"""The report of a finished experiment, from its folder: one HTML page without outside parts, and Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.comparisons.comparison import ABOUT, FOLDER, Comparison
from gearing.evaluation.reports.comparison_tables import comparison_tables
from gearing.evaluation.reports.document import (
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Paragraph,
    Picture,
    Section,
    Table,
)
from gearing.storage.atomic import write_text
from gearing.storage.text import read_bytes, read_text
from gearing.studies.reporting.conclusions import Conclusions, conclusions_of
from gearing.studies.reporting.record import read_record

MARKDOWN, HTML = "report.md", "report.html"
CAPTIONS = {
    "aggregates": "Scores over seeds and tasks. Bars are intervals over training seeds; a rule has no "
    "seeds and no bar.",
    "growth": "Growth a year, and what is left of it next to two references on the same days. An "
    "interval that includes zero "
    "shows no difference.",
    "regret": "What is missing to the known optimum on the same paths.",
    "learning": "Score on validation along the training; the band is the interval over seeds. A training "
    "that has ended keeps "
    "its last score.",
    "improvement": "Probability that a run of the row's policy beats one of the column's on the same task.",
    "profiles": "Share of runs above each score: a line further right is better everywhere it stays right.",
    "ranks": "How often each policy takes each rank when one run of each is drawn on a task.",
    "scores": "Every run: policy, task and seed.",
}
_HEADINGS = {
    "Growth": "Growth on the same days, with intervals over blocks of days and seeds. The column "
    "detectable is "
    "the true difference to the "
    "baseline that such a sample shows in four of five cases.",
    "Scores": "Aggregates over tasks and seeds, with intervals that resample seeds within tasks.",
    "Ranks": "",
    "Regret": "",
    "Probability of improvement": "Row over column, ties count half.",
}


def write_report(folder: Path, output: Path | None = None) -> tuple[Path, Path]:
    """Write the HTML page and the Markdown of a finished experiment, into its folder or another; returns both paths.

    Raises
    ------
    ValueError
        If the folder is no finished experiment's.
    """
    document = document_of(folder)
    place = folder if output is None else output
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / MARKDOWN, document.as_markdown())
    return document.write_html(place / HTML), place / MARKDOWN


def document_of(folder: Path) -> Document:
    """The report as a document."""
    record = read_record(folder)
    compared = Comparison.load(folder / FOLDER) if (folder / FOLDER / ABOUT).is_file() else None
    sentences = _sentences(record, compared)
    opening = [Paragraph(record["question"])] if record["question"] else []
    return Document(
        record["name"],
        opening if record.get("acts") else [*opening, Paragraph(record["line"], strong=True)],
        [
            *_acts(folder, record),
            Section("What can be concluded", [Bullets(sentences.can)] if sentences.can else []),
            Section("What cannot be concluded", [Bullets(sentences.cannot)] if sentences.cannot else []),
            *_tables(folder, record),
            *_comparison(folder, compared),
            Section("Figures", _figures(folder, _other_figures(record))),
            Section("Protocol", _protocol(record, compared)),
            Section("Data", _data(record)),
            Section("How to repeat it", _repeat(folder, record)),
        ],
    )


def _acts(folder: Path, record: dict[str, Any]) -> list[Section]:
    """A section for each act: what it found, its table and figure, and what they allow to conclude."""
    sections = []
    acts = record.get("acts", [])  # records of earlier versions have none
    for number, act in enumerate(acts, start=1):
        blocks: list[Block] = [Paragraph(act["question"])] if act["question"] else []
        blocks += [Paragraph(act["line"], strong=True), Table(_frame(act["table"]))]
        if act["figure"] is not None:
            blocks.append(_picture(folder, f"{act['figure']}.png", act["name"]))
        for heading, sentences in (("It shows:", act["can"]), ("It does not show:", act["cannot"])):
            blocks += [Paragraph(heading), Bullets(sentences)] if sentences else []
        sections.append(Section(f"Act {number}: {act['name']}", blocks))
    return sections


def _other_figures(record: dict[str, Any]) -> list[str]:
    """Figures that no act shows."""
    shown = {act["figure"] for act in record.get("acts", [])}
    return [name for name in record["figures"] if name not in shown]


def _sentences(record: dict[str, Any], compared: Comparison | None) -> Conclusions:
    """Those of the comparison, and those that the kind of experiment gives."""
    found = Conclusions() if compared is None else conclusions_of(compared)
    found.can = [*record["conclusions"], *found.can]
    if not found.can and compared is None:
        found.can.append("No difference is shown." if record["limits"] else record["line"])
    generated = [name for name, market in record["markets"].items() if market["generated"]]
    found.cannot = [*record["limits"], *found.cannot]
    if generated:
        found.cannot.append(
            f"{', '.join(generated)} is generated: nothing here is a claim about real prices."
        )
    elif record["markets"]:
        found.cannot.append(
            "Each contract has one history. What held in it need not hold later; costs, funding and "
            "rules were as listed "
            "under Data."
        )
    return found


def _tables(folder: Path, record: dict[str, Any]) -> list[Section]:
    """Every table that is small enough; of the others where they are."""
    sections, files = [], []
    for name, stored in record["tables"].items():
        if "rows" in stored:
            sections.append(Section(name, [Table(_frame(stored))]))
        else:
            files.append(f"{name}: {stored['rows_in_file']:,} rows in {name}.csv")
    return [*sections, *([Section("More tables", [Bullets(files)])] if files else [])]


def _frame(stored: dict[str, Any]) -> pd.DataFrame:
    head, count = stored["head"], stored["names"]
    rows = [row[count:] for row in stored["rows"]]
    levels = [[row[k] for row in stored["rows"]] for k in range(count)]
    index = (
        pd.MultiIndex.from_arrays(levels, names=head[:count])
        if count > 1
        else pd.Index(levels[0], name=head[0])
    )
    return pd.DataFrame(rows, columns=head[count:], index=index)


def _comparison(folder: Path, compared: Comparison | None) -> list[Section]:
    if compared is None:
        return []
    tables: list[Block] = []
    for heading, table in comparison_tables(compared).items():
        tables.append(Table(table, f"{heading}. {_HEADINGS[heading]}".strip(". ") + "."))
    blocks: list[Block] = []
    for name in compared.figure_names:
        blocks.append(_picture(folder, f"{FOLDER}/{name}.png", name, CAPTIONS[name]))
    notes: list[Block] = [Bullets(compared.remarks)] if compared.remarks else []
    return [Section("Policies compared", [*notes, *tables]), Section("Comparison in figures", blocks)]


def _picture(folder: Path, path: str, alt: str, caption: str = "") -> Block:
    if not (folder / path).is_file():
        return Paragraph(f"The figure {path} is missing in {folder}.")
    return Picture(read_bytes(folder / path), alt, path, caption)


def _figures(folder: Path, names: list[str]) -> list[Block]:
    return [_picture(folder, f"{name}.png", name) for name in names]


def _protocol(record: dict[str, Any], compared: Comparison | None) -> list[Block]:
    """How policies were judged: spans, account, statistics, and what was played."""
    blocks: list[Block] = []
    if record["protocol"]:
        blocks.append(Facts(record["protocol"]))
    if record["notes"]:
        blocks.append(Bullets(record["notes"]))
    if compared is not None:
        blocks.append(Paragraph(_statistics(compared)))
    if record["played"]:
        blocks += [Paragraph("What was played:"), Facts(record["played"])]
    return blocks


def _statistics(compared: Comparison) -> str:
    return (
        f"Intervals are {compared.level:.0%} percentile intervals of {compared.replications:,} bootstrap "
        f"samples (seed "
        f"{compared.seed}): scores resample training seeds within each task; growth resamples blocks of "
        f"days, common to all "
        f"accounts, with a mean of {compared.mean_block:g} days, and seeds. The baseline is "
        f"{compared.baseline}."
    )


def _data(record: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    for name, market in record["markets"].items():
        facts = {fact: market[fact] for fact in ("data", "venue", "fees", "fingerprint")}
        blocks.append(Facts({"market": name, **facts}))
        if market["notes"]:
            blocks.append(Bullets(market["notes"]))
    return blocks


def _repeat(folder: Path, record: dict[str, Any]) -> list[Block]:
    """The command, the experiment, revision, versions and the folder of the results."""
    libraries = ", ".join(f"{name} {number}" for name, number in record["libraries"].items())
    revision = {} if record["revision"] is None else {"revision": record["revision"]}
    facts = {
        "made by": f"Made by {record['made_by']}.", **revision, "code": record["code"],
        "python": record["python"], "libraries": libraries, "results": folder.name,
    }  # fmt: skip
    return [
        Paragraph("Save the experiment below as experiment.yaml, or take it from the folder of the results, and run:"),
        Code("gearing study experiment.yaml"), Facts(facts),
        Code(read_text(folder / "experiment.yaml"), "The experiment, all settings written out"),
    ]  # fmt: skip
