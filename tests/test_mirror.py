"""Every module of src has a test file in its place, or a row in README.md that names the file that tests it.

``python tests/test_mirror.py`` brings the table up to date: rows that hold stay, modules without a row are added to the
test file that mentions most of their names.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src" / "gearing"
PAGE = HERE / "README.md"
HEAD = "| tests in | of the modules |\n|---|---|\n"
RENEW = "Run `python tests/test_mirror.py` and look at the rows it changes."


def modules():
    """Modules of src that hold code of their own, such as ``features/families/basis.py``."""
    paths = (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    return {path.as_posix() for path in paths if not path.name.startswith("__")}


def has_a_file_of_its_own(module):
    path = HERE / module
    return path.with_name(f"test_{path.name}").exists()


def rows():
    """Test file of every row, and its modules."""
    table = PAGE.read_text(encoding="utf-8").partition(HEAD)[2]
    found = [re.findall(r"`([^`]+)`", line) for line in table.splitlines()]
    return {names[0]: names[1:] for names in found}


def test_every_module_has_a_test_file_in_its_place_or_a_row_that_names_one():
    listed = {module for row in rows().values() for module in row}
    missing = {module for module in modules() - listed if not has_a_file_of_its_own(module)}
    assert not missing, RENEW


def test_no_row_names_what_does_not_exist_or_needs_no_row():
    listed = {module for row in rows().values() for module in row}
    assert not listed - modules(), RENEW
    assert not {module for module in listed if has_a_file_of_its_own(module)}, RENEW
    assert not {test for test in rows() if not (HERE / test).is_file()}, RENEW


def names_in(module):
    """What a test may call a module by: its import path, and the public names it defines."""
    body = ast.parse((SOURCE / module).read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return {f"gearing.{module[:-3].replace('/', '.')}", *(name for name in defined if name[0] != "_")}


def nearest(module, texts):
    """The test file that mentions most of a module's names, of those in the module's package where there is one."""
    package = {test: text for test, text in texts.items() if test.split("/")[0] == module.split("/")[0]}

    def mentions(test):
        together = len([1 for a, b in zip(test.split("/"), module.split("/"), strict=False) if a == b])
        names = sum(bool(re.search(rf"\b{name}\b", texts[test])) for name in names_in(module))
        return names, together, len(texts[test])

    return max(sorted(package or texts), key=mentions)


def renew():
    texts = {p.relative_to(HERE).as_posix(): p.read_text(encoding="utf-8") for p in HERE.rglob("test_*.py")}
    found = defaultdict(set)
    for test, row in rows().items():
        if test in texts:
            found[test] |= {m for m in row if m in modules() and not has_a_file_of_its_own(m)}
    for module in modules() - set().union(*found.values()):
        if not has_a_file_of_its_own(module):
            found[nearest(module, texts)].add(module)
    table = [
        f"| `{t}` | {', '.join(f'`{m}`' for m in sorted(found[t]))} |\n" for t in sorted(found) if found[t]
    ]
    before = PAGE.read_text(encoding="utf-8").partition(HEAD)[0]
    PAGE.write_text(before + HEAD + "".join(table), encoding="utf-8")


if __name__ == "__main__":
    renew()
