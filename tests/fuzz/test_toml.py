"""Table files, profiles, dataset.toml and server scores, broken in every way."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import profiles, table_files
from benchmark.errors import BenchmarkError
from benchmark.profiles import load_profile
from benchmark.report.server import add_server_score, load_server_scores
from benchmark.tables import load_table, read_table

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from breakage import broken_bytes, broken_json, one_line, texts

TABLE = (table_files.FOLDER / "eader_alpha.toml").read_bytes()
PROFILE = (profiles.FOLDER / "scenes.toml").read_bytes()
SCORES = b'[fullsup.aspp_vgg16.test_crf]\nvalue = 72.6\nsource = "https://server/page"\n'
DEEP = b"a = " + b"[" * 100_000
LONG_NUMBER = b"a = " + b"9" * 5_000


def as_toml(value: Any) -> str:
    """Return a value as TOML text: what JSON and TOML write alike; else as JSON has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value).lower() if isinstance(value, float) else json.dumps(value)


def as_file(document: Any) -> bytes:
    if not isinstance(document, dict):
        return as_toml(document).encode()
    return "\n".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in document.items()).encode()


def files(whole: bytes) -> st.SearchStrategy[bytes]:
    document = json.loads(json.dumps(tomllib.loads(whole.decode())))
    changed = broken_json(document).map(as_file)
    return st.one_of(changed, changed, broken_bytes(whole), st.sampled_from([DEEP, LONG_NUMBER]))


@given(files(TABLE))
def test_table_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "eader_alpha.toml"
    path.write_bytes(content)
    one_line(lambda: read_table(path))


@given(files(PROFILE))
def test_profiles(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    one_line(lambda: load_profile(str(path)))


@given(files(SCORES))
def test_server_scores(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server_scores.toml").write_bytes(content)
    table = load_table("fullsup")
    one_line(lambda: load_server_scores(tmp_path, table))


@given(texts, texts, st.floats(), st.one_of(texts, texts.map(lambda text: f"https://{text}")))
def test_server_scores_typed_in(
    tmp_path: Path, row: str, column: str, value: float, link: str
) -> None:
    table = load_table("fullsup")
    folder = tmp_path / "typed"
    wrong = one_line(lambda: add_server_score(folder, table, row, column, value, link))
    assert wrong
    assert not folder.exists()
    if one_line(lambda: add_server_score(folder, table, "aspp_vgg16", "test_crf", 50.0, link)):
        assert not folder.exists()
    else:
        scores = load_server_scores(folder, table)
        assert scores["aspp_vgg16", "test_crf"].source == link
        (folder / "server_scores.toml").unlink()
        folder.rmdir()


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "a/b", "..", "", "a\\b", "a\0b"])
def test_no_profile_leads_out_of_the_results(name: str, tmp_path: Path) -> None:
    text = PROFILE.decode().replace('id = "scenes"', f"id = {json.dumps(name)}", 1)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BenchmarkError, match=r"profile mine\.toml: id"):
        load_profile(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        ("val_images = 150", "val_images = 2026-01-01", "date is not JSON"),
        ("val_images = 150", "val_images = nan", "nan is not JSON"),
        ('kind = "scenes"', 'kind = "scene"', "kind"),
    ],
)
def test_what_no_stage_can_be_made_from(
    was: str, becomes: str, expected: str, tmp_path: Path
) -> None:
    text = PROFILE.decode()
    assert was in text or "val_images" not in text
    if was not in text:
        was, becomes = 'kind = "scenes"', f'kind = "scenes"\noptions = {{ {becomes} }}'
        text = "\n".join(line for line in text.splitlines() if not line.startswith("options"))
    (tmp_path / "mine.toml").write_text(text.replace(was, becomes, 1))
    with pytest.raises(BenchmarkError, match=expected):
        load_profile(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("decimals", "1000000000"), ("title", '"\\u202Egnp"'), ("title", '"\\u0000"')],
)
def test_columns_that_would_break_a_report(key: str, value: str, tmp_path: Path) -> None:
    column = f'[[columns]]\nid = "last"\nkind = "text"\n{key} = {value}\n'
    column += "" if key == "title" else 'title = "Last"\n'
    (tmp_path / "eader_alpha.toml").write_text(TABLE.decode() + "\n" + column)
    with pytest.raises(BenchmarkError, match=rf"columns\.\d+\.{key}"):
        read_table(tmp_path / "eader_alpha.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('_base_ = ["mine.py"]', "its _base_ leads to itself"),
        ('_base_ = ["nowhere.py"]', "cannot be read"),
        ("_base_ = 7", "cannot be read"),
        ("_base_ = open('x')", "cannot be read"),
        ("model = dict(", "cannot be read"),
        ("model = '\0'", "cannot be read"),
    ],
)
def test_segmentation_configs(text: str, reason: str, tmp_path: Path) -> None:
    from benchmark.configs import config_digest, config_modules

    path = tmp_path / "mine.py"
    path.write_text(text)
    for read in (config_digest, config_modules):
        with pytest.raises(BenchmarkError, match=reason):
            read(path)
