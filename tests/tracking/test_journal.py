"""The journal keeps what was written, whatever happens to the process."""

import json

import pytest

from gearing.tracking.journal import Journal

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "run.jsonl")


def test_records_come_back_in_order_with_the_offset_they_end_at(journal):
    journal.append({"op": "a"})
    journal.append({"op": "b"})
    # {"op":"a"} is ten characters and a line end
    assert list(journal.pending()) == [({"op": "a"}, 11), ({"op": "b"}, 22)]


def test_what_was_delivered_is_not_pending_even_for_the_next_process(journal):
    journal.append({"op": "a"})
    journal.append({"op": "b"})
    journal.delivered(11)
    journal.close()
    assert [record for record, _ in Journal(journal.path).pending()] == [{"op": "b"}]


def test_a_line_cut_short_by_a_kill_is_dropped_and_the_next_record_is_whole(journal):
    journal.append({"op": "a"})
    journal.close()
    with journal.path.open("a") as lines:
        lines.write('{"op": "unfini')
    again = Journal(journal.path)
    again.append({"op": "b"})
    assert [record["op"] for record, _ in again.pending()] == ["a", "b"]


def test_a_reader_leaves_a_line_alone_that_is_still_being_written(journal):
    journal.append({"op": "a"})
    with journal.path.open("a") as lines:
        lines.write('{"op": "unfini')
    assert [record["op"] for record, _ in journal.pending()] == ["a"]


def test_two_writers_of_one_journal_are_refused(journal):
    with pytest.raises(BlockingIOError, match="in use by another process"):
        Journal(journal.path)
    journal.close()
    Journal(journal.path).close()


def test_a_kept_file_outlives_its_original(journal, tmp_path):
    original = tmp_path / "figure.png"
    original.write_text("pixels")
    copied = journal.copy(original, "figure.png")
    original.unlink()
    assert (journal.files / copied).read_text() == "pixels"


def test_a_record_put_aside_is_kept_with_its_reason(journal):
    journal.refused({"op": "params"}, "changed")
    line = journal.path.with_suffix(".refused.jsonl").read_text()
    assert json.loads(line) == {"reason": "changed", "record": {"op": "params"}}


def test_a_removed_journal_leaves_nothing_but_the_state_a_later_process_needs(journal, tmp_path):
    journal.append({"op": "a"})
    journal.state.run_id = "r1"
    journal.delivered(11)
    journal.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["run.state.json"]
    again = Journal(journal.path)
    assert (again.state.run_id, again.state.delivered) == ("r1", 0)
