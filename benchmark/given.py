"""The options by which every command is told what to work on: a profile and the user's files."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import completion
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.plan import Plan
    from benchmark.profiles import Profile
    from benchmark.released import Released
    from benchmark.tables import Table as TableFile
    from benchmark.user_files import UserFiles


class LabelSourceName(StrEnum):
    """Where image labels come from."""

    csv = "csv"
    xml = "xml"
    masks = "masks"


ProfileName = Annotated[
    str,
    typer.Option("--profile", help="scenes, light or paper.", autocompletion=completion.profiles),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder in VOC layout.")]
Classes = Annotated[
    str | None, typer.Option("--classes", help="Evaluated classes, comma-separated; else all 20.")
]
Labels = Annotated[
    LabelSourceName | None, typer.Option("--labels", help="Source of the image labels.")
]
LabelsCsv = Annotated[
    Path | None, typer.Option("--labels-csv", help="CSV with a column id and one a class.")
]
WeightFiles = Annotated[
    list[str] | None,
    typer.Option("--weights", help="Initial weights: FILE, or NAME=FILE where there are several."),
]
SaliencyFolder = Annotated[
    str | None, typer.Option("--saliency", help="NAME=FOLDER of grey PNGs, or a plugin's NAME.")
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        help="Start one row from released files: labels=DIR, cues=FILE, maps=DIR or maps=FILE, "
        "attention=WEIGHTS.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user typed; the fields are the options of every command that ``takes_given``."""

    profile: ProfileName = "scenes"
    data: Data = None
    classes: Classes = None
    labels: Labels = None
    labels_csv: LabelsCsv = None
    weights: WeightFiles = None
    saliency: SaliencyFolder = None
    released: From = None

    def plan(self, table: str, seeds: int = 1, rows: Sequence[str] | None = None) -> Plan:
        """Return the plan of one table; BenchmarkError where a name or a file is wrong.

        ``rows`` names the one row that released files are for.
        """
        from benchmark.plan import one_row
        from benchmark.released import parse_released
        from benchmark.tables import load_table

        released = parse_released(self.released or [])
        chosen = load_table(table)
        return self._planned(
            one_row(chosen, rows, released) if released else chosen, seeds, released
        )

    def plan_ours(self, table: str, seeds: int, row: str) -> Plan:
        """Return the plan of one row all the way ours, without the released files."""
        from benchmark.plan import one_row
        from benchmark.tables import load_table

        return self._planned(one_row(load_table(table), [row], {}), seeds, {})

    def _planned(self, table: TableFile, seeds: int, released: Released) -> Plan:
        from benchmark.plan import make_plan

        return make_plan(table, *self.chosen(), range(seeds), released)

    def plans(
        self,
        seeds: Mapping[str, int],
        announce: Callable[[str], None],
        *,
        files_needed: bool = True,
    ) -> tuple[Plan, ...]:
        """Return the plans of several tables, by id with their number of seeds.

        Tables that cannot be read, or that the profile cannot measure, are announced and left out.
        Without files needed the plans can be counted, not run.
        """
        from benchmark.plan import make_plans
        from benchmark.tables import BrokenTable, load_table

        if self.released:
            raise BenchmarkError("--from is for one row of one table: name it with --table")
        tables = []
        for table, number in seeds.items():
            try:
                tables.append((load_table(table), range(number)))
            except BrokenTable as error:
                announce(f"left out: {error}")
        return make_plans(tables, *self.chosen(), announce, files_needed=files_needed)

    def chosen(self) -> tuple[Profile, UserFiles]:
        """Return the profile and the user's files; BenchmarkError where a name is wrong."""
        from benchmark.profiles import Saliency, load_profile
        from benchmark.user_files import UserFiles

        profile = load_profile(self.profile)
        saliency_name, saliency = _named(self.saliency)
        if source := _saliency_source(self.saliency):
            if profile.saliency.source != source:  # else with the options that the profile gives
                settings = Saliency(kind="source", source=source)
                profile = profile.model_copy(update={"saliency": settings})
            saliency_name, saliency = None, None
        files = UserFiles(
            data=self.data,
            classes=split_names(self.classes),
            labels=self.labels.value if self.labels else None,
            labels_csv=self.labels_csv,
            weights=_weight_files(self.weights or [], profile),
            saliency=saliency,
            saliency_name=saliency_name,
        )
        return profile, files


def takes_given(command: Callable[..., None]) -> Callable[..., None]:
    """Show the fields of ``Given`` as options of a command that has a parameter ``given``."""
    shared = inspect.signature(Given, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def called(**values: Any) -> None:
        given = Given(**{name: values.pop(name) for name in shared})
        command(given=given, **values)

    parameters: list[inspect.Parameter] = []
    for parameter in own.values():
        parameters += shared.values() if parameter.name == "given" else [parameter]
    keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    called.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    return called


def split_names(names: str | None) -> tuple[str, ...] | None:
    """Return the parts of a comma-separated list; None where nothing was typed."""
    return None if names is None else tuple(name.strip() for name in names.split(","))


def split_tables(names: str) -> tuple[str, ...]:
    """Return the table ids in a comma-separated list, each once; every id for ``all``."""
    from benchmark.tables import table_ids

    return table_ids() if names == "all" else tuple(dict.fromkeys(split_names(names) or ()))


def _named(value: str | None) -> tuple[str | None, Path | None]:
    """Split NAME=PATH; a plain path is named after its last part."""
    if value is None:
        return None, None
    name, separator, path = value.partition("=")
    return (name, Path(path)) if separator else (Path(value).name, Path(value))


def _saliency_source(value: str | None) -> str | None:
    """Return the name of a plugin; None for a folder. A folder of that name comes first."""
    from benchmark.registry import near_name
    from benchmark.saliency.source import source_names

    if value is None or "=" in value or Path(value).is_dir() or not source_names():
        return None
    if value not in source_names():
        raise BenchmarkError(near_name("saliency folder or source", value, source_names()))
    return value


def _weight_files(given: list[str], profile: Profile) -> dict[str, Path]:
    wanted = [name for name, kind in profile.weights.items() if kind.source == "user"]
    files = {}
    for value in given:
        name, separator, path = value.partition("=")
        if separator:
            files[name] = Path(path)
        elif len(wanted) == 1:
            files[wanted[0]] = Path(value)
        else:
            if not wanted:
                raise BenchmarkError(f"profile {profile.id} takes no weights: drop --weights")
            raise BenchmarkError(f"--weights {value}: say which, NAME=FILE ({', '.join(wanted)})")
    return files
