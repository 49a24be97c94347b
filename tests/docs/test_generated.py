"""What the site takes from code and results: complete, and the same numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "made"))
import measured
import options

from benchmark.report.card import TITLES
from benchmark.tables import table_ids

ROOT = Path(__file__).parents[2]


def line_of(table: str, first: str) -> list[str]:
    """Return the entries of the Markdown row that begins with ``first``."""
    (found,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [entry.strip() for entry in re.split(r"(?<!\\)\|", found)[1:-1]]


@pytest.mark.parametrize(
    ("name", "option", "values", "default"),
    [
        ("seenet", "erase", "0 to 1", "0.7"),
        ("seenet", "background_branch", "0 to 1 or none", "none"),
        ("seenet", "head_convs", "`2`, `3`", "3"),
        ("seenet", "flip_sign", "`true`, `false`", "true"),
        ("eader", "omega", "a number and above 0", "100"),
        ("eader", "adversary_steps", "a whole number and at least 0", "200"),
        ("sgan", "schedule", "`steps`, `poly`", "steps"),
    ],
)
def test_options_show_what_they_take_and_their_default(
    name: str, option: str, values: str, default: str
) -> None:
    assert line_of(options.options("method", name), f"`{option}`") == [
        f"`{option}`",
        values,
        default,
    ]


def test_an_option_of_several_constants_shows_them_all() -> None:
    """The CRF of PSA's release (arXiv:1803.10464)."""
    assert line_of(options.options("refinement", "affinity"), "`crf`")[1:] == [
        "some of these constants",
        "iterations 10, gaussian_weight 3, gaussian_sd 3, bilateral_weight 10, "
        "bilateral_sd_xy 80, bilateral_sd_rgb 13",
    ]


def test_options_begin_with_what_their_docstring_says() -> None:
    assert "relative to the attention's maximum" in options.options("method", "seenet")
    assert (
        line_of(options.cue_options(), "`grow_foreground`")[3]
        == "`grow`'s threshold of the classes."
    )


def test_every_field_of_the_card_is_explained() -> None:
    assert list(options.CARD_MEANINGS) == list(TITLES)


def test_verdicts_and_links_in_tables_are_markup_and_titles_are_text() -> None:
    page = measured.table_page("dsna_table2")
    assert '| <span class="verdict' in page
    assert "| mS&#95;{prec} (merged map) |" in page  # no emphasis, and no sign before it
    overview = measured.tables_overview()
    assert re.search(r"\| \[[^|]+\]\(dsna_table2\.md\) `dsna_table2` \|", overview)
    for made in (page, overview, measured.measured("method", "dsna"), measured.verdict_meanings()):
        assert "&lt;span" not in made
        assert "&#93;(" not in made
        assert "\\_" not in made


def test_every_command_and_option_is_listed() -> None:
    import hooks

    from benchmark.cli import app

    page = hooks.commands()
    sections = dict(re.findall(r"^#+ `([\w -]+)`\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE))

    def check(command: object, name: str) -> int:
        parts = getattr(command, "commands", None)
        if parts:
            return sum(check(one, f"{name} {key}".strip()) for key, one in parts.items())
        for parameter in command.params:  # type: ignore[attr-defined]
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in sections[name], f"{name} {parameter.opts[0]}"
        return 1

    assert check(typer.main.get_command(app), "") >= 15
    assert "..." not in re.sub(r"\[.*?\]\.\.\.", "", page)  # nothing is cut


def test_measured_numbers_are_those_of_the_results() -> None:
    document = json.loads((ROOT / "results/scenes/methods.json").read_text())
    cell = next(c for c in document["cells"] if c["row"] == "gain" and c["column"] == "miou")
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.1f}"
    section = measured.measured("method", "gain")
    section = section[section.index("### Profile scenes") :]
    rows = [line for line in section.splitlines() if "tables/methods.md" in line]
    mine = [line for line in rows if f"| {document_title(document, cell)} |" in line]
    assert any(f"| {cell['mean']:.1f}{spread} |" in line for line in mine)
    assert 'class="verdict not-comparable"' in mine[0]


def document_title(document: dict, cell: dict) -> str:
    """Return the title of the column that the cell stands in."""
    return next(c["title"] for c in document["columns"] if c["id"] == cell["column"])


def test_a_method_without_results_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "reports", lambda: ())
    assert measured.measured("method", "cam").startswith(("Nothing in results/ yet.", "[!["))
    assert "not run" not in measured.table_page("seenet_table1")
    assert "| ACoL |" not in measured.table_page("seenet_table1")


def test_every_table_has_a_page_and_a_line() -> None:
    overview = measured.tables_overview()
    for name in table_ids():
        assert f"({name}.md)" in overview
        assert f"`{name}`" in measured.table_page(name)


def test_text_of_a_paper_is_no_markup() -> None:
    assert measured.text("<b> a|b *c* d_e [f]") == ("&lt;b&gt; a|b &#42;c&#42; d&#95;e &#91;f&#93;")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    build = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run([sys.executable, *build], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\b(?:src|srcset)=["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon|modulepreload))[^>]*?"""
    r"""\bhref=["']?([^"'\s>]+)"""
    r"""|url\(["']?([^"')]+)"""
)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(pages) > 50
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "unpkg.com" not in text, page.name  # where the theme's scripts would load from
        for found in LOADED.finditer(text):
            address = next(filter(None, found.groups()))
            assert not re.match(r"(?:[a-z]+:)?//", address), f"{page.name} loads {address}"


def test_no_generated_place_is_left_open(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- generated" not in page.read_text(encoding="utf-8"), page.name
