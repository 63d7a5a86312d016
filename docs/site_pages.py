"""Hook of mkdocs.yml: pages of the repository outside docs/, and links to them.

Pages link to files as they lie in the repository, so that links work there, too. In the site, CONTRIBUTING.md,
data/README.md, notebooks and example files are pages or downloads of their own.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("CONTRIBUTING.md", "data/README.md")
FOLDERS = ("examples", "experiments", "notebooks")  # whose files are copied
LINK = re.compile(r"(!?\[[^\]\n]*\])\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)


def repository_path(page: str) -> str:
    """Where a page of the site lies in the repository."""
    return page if page in PAGES or page.startswith(FOLDERS) else f"docs/{page}"


def site_path(path: str) -> str | None:
    """Where a file of the repository lies in the site; None if it is not there.

    Parameters
    ----------
    path : str
        Relative to the root of the repository.
    """
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES:
        return path
    if path.startswith(FOLDERS) and (ROOT / path).is_file():
        return path.removesuffix(".ipynb") + ".md" if path.endswith(".ipynb") else path
    return None


def rewritten(markdown: str, page: str) -> str:
    """The page with links to files of the repository as links of the site.

    Parameters
    ----------
    page : str
        Path of the page in the site, such as ``tutorials/own-data.md``.
    """
    home = posixpath.dirname(repository_path(page))

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return match.group(0)
        there = site_path(posixpath.normpath(posixpath.join(home, path)))
        if there is None:
            return match.group(0)
        relative = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{label}({relative}{hash_}{anchor})"

    parts: list[str] = []
    at = 0
    for block in _FENCE.finditer(markdown):
        parts += [LINK.sub(link, markdown[at : block.start()]), block.group(0)]
        at = block.end()
    return "".join([*parts, LINK.sub(link, markdown[at:])])


_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)  # of a table, which the site has its own for
_TABLE = re.compile(r"<table [^>]*>")


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: its text, its code, and the outputs that are stored in it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"]).strip()
        if source:
            parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [shown for output in cell.get("outputs", ()) if (shown := _output(output))]
    return "\n\n".join(parts) + "\n"


def _output(output: dict[str, Any]) -> str:
    """A figure, a table, a Markdown text or plain text of a cell; nothing for other kinds."""
    data = output.get("data", {})
    html = "".join(data.get("text/html", ""))
    if "image/png" in data:
        content = "".join("".join(data["image/png"]).split())
        return f'<img alt="Figure of the cell above" src="data:image/png;base64,{content}">'
    if "<table" in html:
        plain = _TABLE.sub("<table>", _STYLE.sub("", html))
        return "\n".join(line for line in plain.splitlines() if line.strip())
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    return f"```text\n{text}\n```" if text else ""


def repository_files() -> dict[str, Path]:
    """Files outside docs/ that the site holds: path in the site, file."""
    files = {name: ROOT / name for name in PAGES}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            there = site_path(name)
            if there is not None and "__pycache__" not in name and ".ipynb_checkpoints" not in name:
                files[there] = path
    return files


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside docs/."""
    from mkdocs.structure.files import File

    for name, path in repository_files().items():
        content = notebook_page(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite links to files of the repository."""
    return rewritten(markdown, page.file.src_uri)
