"""What the site shows that nobody types: commands, options, measured numbers, a page a table.

MkDocs calls the functions named ``on_...``. A line ``<!-- generated NAME ARGUMENTS -->`` of a page
is replaced by what ``GENERATORS[NAME]`` returns for the arguments.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equations
import measured
import options

from benchmark.tables import table_ids

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
RESULTS = "results"
PROGRAM = "python -m benchmark"
PLACE = re.compile(r"^<!-- generated (\w+)((?: \S+)*) -->$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for every published table to the navigation, and how equations are shown."""
    fence = {"name": "equation", "class": "equation", "format": equations.render}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
    for part in config.nav or ():
        if isinstance(part, dict) and "Tables" in part:
            part["Tables"] += [{name: f"tables/{name}.md"} for name in table_ids()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page a table, and all of results/ as it lies there."""
    from mkdocs.structure.files import File

    for name in table_ids():
        content = measured.table_page(name)
        files.append(File.generated(config, f"tables/{name}.md", content=content))
    for path in sorted((ROOT / RESULTS).rglob("*")):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated; keep the full reports out of the search."""
    if page.file.src_uri.startswith(f"{RESULTS}/"):
        page.meta["search"] = {"exclude": True}
        page.meta["hide"] = ["navigation"]
        return markdown
    return PLACE.sub(lambda found: GENERATORS[found[1]](*found[2].split()), markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Print one colon where a docstring's ``::`` announces a literal block."""
    return html.replace("::</p>", ":</p>")


def commands() -> str:
    """Return every command with its options, as Typer documents them."""
    written = subprocess.run(
        [sys.executable, "-m", "typer", "benchmark.cli", "utils", "docs", "--name", PROGRAM],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    _, _, body = written.partition("## ")
    # Typer cuts what a group's commands do; each has a section of its own.
    body = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", f"## {body}")
    body = re.sub(r"^\* `--help`.*\n", "", body, flags=re.MULTILINE)
    body = body.replace("**Options**:\n\n\n", "").replace("$ ", "")
    return re.sub(rf"^(#+) `{PROGRAM} (.*)`$", r"\1 `\2`", body, flags=re.MULTILINE)


GENERATORS: dict[str, Callable[..., Any]] = {
    "commands": commands,
    "options": options.options,
    "cue_options": options.cue_options,
    "recipe": options.training,
    "measured": measured.measured,
    "tables": measured.tables_overview,
    "methods": measured.methods_overview,
    "verdicts": measured.verdict_meanings,
    "card": options.card_fields,
    "checks": options.checks,
    "keys": options.document_keys,
    "label_recipes": options.label_recipes,
}
