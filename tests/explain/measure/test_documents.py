"""The tables in README and docs are those that `hearsay tables` writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from explain.__main__ import main
from explain.measure.documents import MARKED, TABLES

ROOT = Path(__file__).parents[3]
DOCUMENTS = ("README.md", "docs/explanations.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_are_those_of_the_bundled_detectors(name, tmp_path, capsys):
    copy = tmp_path / "copy.md"
    shutil.copy(ROOT / name, copy)
    assert main(["tables", str(copy)]) == 0
    assert copy.read_text() == (ROOT / name).read_text()
    assert capsys.readouterr().out == ""  # nothing changed


def test_every_table_stands_somewhere():
    marked = {m[2] for name in DOCUMENTS for m in MARKED.finditer((ROOT / name).read_text())}
    assert marked == {*TABLES}


def test_a_table_that_was_edited_is_written_anew(tmp_path, capsys):
    text = (ROOT / "docs/explanations.md").read_text()
    edited = re.sub(r"\*\*0\.\d\d", "**0.00", text, count=1)
    assert edited != text
    (tmp_path / "d.md").write_text(edited)
    assert main(["tables", str(tmp_path / "d.md")]) == 0
    assert (tmp_path / "d.md").read_text() == text
    assert "d.md" in capsys.readouterr().out


def test_an_unknown_table_is_a_sentence(tmp_path, capsys):
    (tmp_path / "d.md").write_text("<!-- table: prices -->\n<!-- end of table -->\n")
    assert main(["tables", str(tmp_path / "d.md")]) == 2
    assert "There is no table 'prices'" in capsys.readouterr().err
