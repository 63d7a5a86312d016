import codecs

import pytest

from gearing.storage.text import parse_json, read_json, read_text


@pytest.mark.parametrize(
    "content",
    [
        "Zürich".encode(),
        codecs.BOM_UTF8 + "Zürich".encode(),
        codecs.BOM_UTF16_LE + "Zürich".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "Zürich".encode("utf-16-be"),
    ],
)
def test_text_is_utf_8_whatever_the_machine_and_a_byte_order_mark_is_no_part_of_it(content, tmp_path):
    file = tmp_path / "city.txt"
    file.write_bytes(content)
    assert read_text(file) == "Zürich"


def test_a_text_of_another_encoding_is_refused_with_its_file_line_and_byte(tmp_path):
    file = tmp_path / "city.txt"
    file.write_bytes(b"name\nZ\xfcrich")  # Latin-1; 0xfc is the seventh byte, counted from 0: 6
    with pytest.raises(ValueError, match=r"city.txt, line 2: byte 0xfc at position 6 is not UTF-8"):
        read_text(file)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"lost.json: there is no such file"):
        read_json(tmp_path / "lost.json")
    with pytest.raises(ValueError, match="is a folder"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.json is empty"),
        ('{"a": 1,\n "b" 2}', r"f.json, line 2, column 6: this is not JSON \(expecting ':' delimiter\)"),
        ('{"a": 1, "a": 2}', "f.json: the key 'a' stands twice in one object"),
        ('{"a": NaN}', "f.json: NaN is not a number"),
        ("[1]", r"f.json holds a list \[...\]; it should hold an object"),
        ("false", "f.json holds true or false; it should hold an object"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "f.json: "),  # more digits than Python makes an integer of
    ],
)
def test_json_that_cannot_be_used_is_refused_with_its_place(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text, "f.json", dict)


def test_numbers_keep_their_digits_where_they_are_wanted_as_text():
    assert parse_json('{"a": 1.10, "b": 7}', "f.json", numbers=str) == {"a": "1.10", "b": "7"}


def test_what_python_writes_for_a_number_that_is_not_known_is_read_back_where_it_is_expected():
    assert parse_json("[Infinity]", "f.json", allow_nan=True) == [float("inf")]
