"""Reading reports back."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.report.document import read_document, read_documents


def test_a_file_that_is_no_report_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert read_document(path) is None
    for text, message in (
        ("{", "cannot be read as a report"),
        ("[]", "no report of this version"),
        ('{"schema": 99}', "no report of this version"),
        ('{"schema": 1}', "no report of this version"),
        ('{"schema": 2, "table": "one"}', "no report of this version"),
    ):
        path.write_text(text)
        with pytest.raises(BenchmarkError, match=message):
            read_document(path)
        assert read_documents(tmp_path) == {"one": None}
