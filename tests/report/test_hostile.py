"""Names, texts and errors that want to be more than text: in every file they are text alone."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmark.notebook import TableResult
from benchmark.report.build import build_report
from benchmark.report.markdown import inline, markdown_table
from benchmark.report.model import Measurement, TableReport
from benchmark.report.page import write_page
from benchmark.report.visible import in_short
from benchmark.report.writers import write_index, write_report
from benchmark.tables import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from inert import Page, check_inert

Measure = Callable[..., dict[tuple[str, str], Measurement]]
RUN = "document.title='ran'"
HOSTILE = (
    f"=1+1 </script></style></title><script>{RUN}</script><img src=x onerror={RUN}> "
    f"<svg onload={RUN}> <details open ontoggle={RUN}> ' onfocus={RUN} autofocus \" | ` "
    f"[link](javascript:{RUN}) [x]: javascript:{RUN}\n[x][x] &lt;b&gt; {{{{ 7*7 }}}} "
    "\\input{/etc/passwd} \\write18{x} ^^5cinput $x$ % \x1b[31m \u202egnp\x00"
)
LINES = {"line", "circle", "rect", "polyline", "polygon", "text", "tspan", "g", "title", "style"}


def hostile(table: Table) -> Table:
    """Return a table whose every text is hostile; its ids are as they were."""
    assert table.paper is not None
    columns = {"title": HOSTILE, "notes": (HOSTILE,)}
    return table.model_copy(
        update={
            "title": HOSTILE,
            "caption": HOSTILE,
            "notes": (HOSTILE,),
            "paper": table.paper.model_copy(
                update={"title": HOSTILE, "venue": HOSTILE, "reference": f"javascript:{RUN}"}
            ),
            "diagnostics": dict.fromkeys(table.diagnostics, HOSTILE),
            "columns": tuple(one.model_copy(update=columns) for one in table.columns),
            "rows": tuple(
                one.model_copy(
                    update={
                        "title": HOSTILE,
                        "notes": (HOSTILE,),
                        "flags": dict.fromkeys(one.published, HOSTILE),
                    }
                )
                for one in table.rows
            ),
            "claims": tuple(one.model_copy(update={"text": HOSTILE}) for one in table.claims),
            "curves": tuple(
                one.model_copy(update={"title": HOSTILE, "x_title": HOSTILE})
                for one in table.curves
            ),
        }
    )


@pytest.fixture(scope="module")
def report(swept_table: Table, measure: Measure) -> TableReport:
    measured = measure(swept_table)
    (failed, *changed) = measured
    measured[failed] = Measurement(card=measured[failed].card, error=in_short(HOSTILE + "x" * 9999))
    for place in changed:
        one = measured[place]
        records = tuple(
            replace(
                record,
                config={HOSTILE: HOSTILE},
                environment={"python": HOSTILE},
                git_revision=HOSTILE,
                metrics={HOSTILE: HOSTILE},
            )
            for record in one.records
        )
        card = replace(one.card, dataset=HOSTILE, saliency=HOSTILE)
        measured[place] = replace(one, records=records, card=card)
    data = {"name": HOSTILE, HOSTILE: HOSTILE}
    return build_report(hostile(swept_table), "scenes", measured, meaning=HOSTILE, data=data)


@pytest.fixture(scope="module")
def written(report: TableReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    write_report(report, results)
    write_page(results, "scenes")
    write_index(results)
    return results / "scenes"


def test_the_page_is_inert(written: Path) -> None:
    page = check_inert((written / "index.html").read_text())
    assert page.text.count("<script>document.title='ran'</script>") > 20
    assert page.text.count("\N{REPLACEMENT CHARACTER}gnp") > 20


def test_no_file_hides_a_character(written: Path) -> None:
    for path in [
        *written.glob("eader_alpha.*"),
        written / "index.html",
        written.parent / "README.md",
    ]:
        if path.suffix not in (".json", ".csv"):  # for machines: they hold what there was
            assert not set(path.read_text()) & set("\x00\x1b\u202e"), path


def test_the_markdown_has_no_html_no_link_and_whole_tables(written: Path) -> None:
    for path in (written / "eader_alpha.md", written.parent / "README.md"):
        text = path.read_text()
        tags = set(re.findall(r"<[^>\s]*", text))
        assert tags <= {"<details", "<summary", "</summary", "</details"}
        targets = re.findall(r"\]\((.*?)\)", text)
        assert targets
        assert all(re.fullmatch(r"[\w/.]+", target) for target in targets)
        assert not re.search(r"\]:|\]\[", text)
        assert "&amp;lt;b&amp;gt;" in text
        for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1


def test_text_in_markdown_is_what_it_was() -> None:
    assert inline("a\n b") == "a b"
    assert inline("L_{seed} *x* AT&T 1 > 0") == "L_{seed} *x* AT&T 1 > 0"
    assert inline("<b> &lt; [a](b) [a]: b") == "&lt;b> &amp;lt; [a&#93;(b) [a&#93;: b"
    assert markdown_table(["a"], [["x|y\\"]]) == "| a |\n| --- |\n| x\\|y\\\\ |"


def test_no_spreadsheet_takes_a_text_for_a_formula(written: Path) -> None:
    with (written / "eader_alpha.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    flags = [row["flag"] for row in rows if row["flag"]]
    assert flags
    assert all(flag.startswith("'=1+1") for flag in flags)
    assert not any(value.startswith(("=", "@", "+")) for row in rows for value in row.values())


def test_the_chart_is_xml_of_lines_alone(written: Path) -> None:
    root = ElementTree.parse(written / "eader_alpha.svg").getroot()
    names = {one.tag.rsplit("}", 1)[-1] for one in root.iter()}
    assert names <= LINES | {"svg"}
    attributes = {name for one in root.iter() for name in one.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name]


def test_latex_runs_no_command_of_theirs(written: Path) -> None:
    text = (written / "eader_alpha.tex").read_text()
    assert "textbackslash{}input" in text
    assert not re.search(
        r"\\input|\\write|\^\^|(?<!\\)\$x|(?<!\\)%(?! Written)", text.replace("{%", "")
    )


def test_a_notebook_shows_text_alone(written: Path) -> None:
    table = TableResult(json.loads((written / "eader_alpha.json").read_text()))
    page = Page(table._repr_html_())
    assert {tag for tag, _ in page.elements} <= {
        "h4",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert not page.values("onerror")


def test_what_a_stage_raised_is_one_line_of_some_length() -> None:
    short = in_short("a\nb\x1b[2J" + "x" * 100_000)
    assert short.startswith("a b\N{REPLACEMENT CHARACTER}[2J")
    assert len(short) < 600


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium is installed to look at the page with")
    return found


def shown(browser: str, text: str, folder: Path) -> str:
    """Return the page as it stands after the browser has run what it runs in it."""
    path = folder / "shown.html"
    path.write_text(text)
    off = ("gpu", "quic", "background-networking", "component-update", "sync")
    flags = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{one}" for one in off)]
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={folder / 'user'}", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_browser_runs_nothing_of_theirs(browser: str, written: Path, tmp_path: Path) -> None:
    text = (written / "index.html").read_text()
    unprotected = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert unprotected != text
    for name, page in (("as written", text), ("by its escaping alone", unprotected)):
        dom = shown(browser, page, tmp_path)
        assert "<title>Results, profile scenes</title>" in dom, name
        assert re.search(r"<th[^>]*data-sort[^>]*><button", dom), "its own script has not run"
        assert not [
            one
            for one in Page(repaired(dom)).elements
            if one[0] in ("svg", "img") and set(one[1]) & {"onload", "onerror"}
        ]


def test_a_browser_would_have_run_it(browser: str, tmp_path: Path) -> None:
    dom = shown(browser, f"<title>own</title><p>{HOSTILE}</p>", tmp_path)
    assert "<title>ran</title>" in dom


def repaired(dom: str) -> str:
    """Return the DOM with shapes closed in their own tag, as the parser of the tests has them."""
    return re.sub(r"<(line|circle|rect|polyline|polygon)\b([^>]*)></\1>", r"<\1\2/>", dom)
