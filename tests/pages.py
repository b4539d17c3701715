"""The pages of the documentation, taken apart."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])


def text_of(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def fenced(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def tables(name: str) -> dict[str, list[list[str]]]:
    """The rows of all tables of a page, by the heading above them, without the tables' own headings."""
    found: dict[str, list[list[str]]] = {}
    heading, in_table = "", False
    for line in prose(text_of(name)).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|---"):
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table:
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
    return found


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_cells(name: str, heading: str) -> list[str]:
    """The names that the first column of a table lists, each once."""
    names = [one for row in tables(name)[heading] for one in code(row[0])]
    assert len(names) == len(set(names)), f"{name}, {heading}: a name is listed twice"
    return names
