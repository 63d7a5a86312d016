"""A document is one page that loads nothing, escapes every text, and says the same in Markdown."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from gearing.drawing import new_figure, png
from gearing.evaluation.reports.document import (
    Bullets,
    Code,
    Document,
    Facts,
    Paragraph,
    Picture,
    Section,
    Table,
)

HOSTILE = "<script>alert('x')</script> & | **bold**"


class Page(HTMLParser):
    """Text, tags and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.addresses = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def document():
    frame = pd.DataFrame(
        {"growth": [0.12345, np.nan], HOSTILE: ["a|b", HOSTILE]},
        index=pd.MultiIndex.from_tuples([("one", 1), ("two", 2)], names=["policy", "seed"]),
    )
    picture = Picture(png(new_figure(1, 1)), HOSTILE, "figure.png", "A caption.")
    return Document(
        HOSTILE,
        [Paragraph("The question?"), Paragraph("The result.", strong=True)],
        [
            Section("Sentences", [Bullets(["first", HOSTILE]), Facts({"values": 1, HOSTILE: HOSTILE})]),
            Section("Tables", [Table(frame, "What it is.")]),
            Section("Empty", []),
            Section("Figures", [picture]),
            Section("Code", [Code("gearing study x.yaml"), Code("a: 1\nb: <2>", "The experiment")]),
        ],
    )


def test_code_in_a_sentence_is_set_as_code_and_escaped():
    page = Document("t", [Paragraph("Run `gearing show <file>` or `a\nb`.")], []).as_html()
    assert "<p>Run <code>gearing show &lt;file&gt;</code> or `a\nb`.</p>" in page


def test_every_text_is_escaped_and_nothing_is_loaded(document):
    page = Page(document.as_html())
    assert "script" not in page.tags
    assert (
        page.text.count("<script>") == 7
    )  # twice as title, in a list, twice as a fact, in a head and in a cell
    assert len(page.addresses) == 1
    assert page.addresses[0].startswith("data:image/png;base64,")


def test_a_section_without_content_is_left_out(document):
    assert "Empty" not in document.as_html()
    assert "Empty" not in document.as_markdown()


def test_missing_numbers_are_a_dash_and_the_index_stands_in_the_first_columns(document):
    assert Table(pd.DataFrame({"a": [np.nan, 0.5]}, index=["x", "y"])).rows == [["x", "-"], ["y", "0.5"]]
    page = Page(document.as_html())
    assert page.tags.count("th") == 4
    assert "0.1235" in page.text


def test_markdown_says_the_same(document):
    text = document.as_markdown()
    assert text.startswith(f"# {HOSTILE}\n\nThe question?\n\n**The result.**\n")
    assert "| policy | seed | growth |" in text
    assert "| one | 1 | 0.1235 | a\\|b |" in text  # a pipe in a cell is no new column
    assert "![" in text
    assert "(figure.png)" in text
    assert "The experiment:\n\n    a: 1\n    b: <2>" in text
