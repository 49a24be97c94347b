"""A stage: what is to be made, from what, by which code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.provenance import fingerprint
from benchmark.store.canonical import JSON, digest_of, plain


@dataclass(frozen=True, eq=False)
class Stage:
    """One cached step: equal names, configs and inputs make equal stages."""

    name: str
    config: Mapping[str, JSON]  # everything that changes the result; no machine paths
    inputs: Mapping[str, Stage] = field(default_factory=dict)  # role -> upstream stage
    locations: Mapping[str, str] = field(default_factory=dict)  # role -> the user's files
    label: str = ""  # for people
    code: tuple[str, ...] = ()  # dotted names of the modules the result depends on

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise ValueError(f"a stage's name is a lower-case word, not {self.name!r}")
        object.__setattr__(self, "config", plain(self.config, self.name))
        object.__setattr__(self, "label", self.label or self.name)

    @cached_property
    def key(self) -> str:
        """The sha256 of the canonical JSON of name, config and the inputs' keys."""
        inputs = {role: stage.key for role, stage in self.inputs.items()}
        return digest_of({"name": self.name, "config": self.config, "inputs": inputs})

    def code_fingerprint(self) -> str:
        """Return a sha256 over the source of the stage's modules and of all stages before it."""
        return self.combined_code({r: s.code_fingerprint() for r, s in self.inputs.items()})

    def combined_code(self, inputs: Mapping[str, str]) -> str:
        """Join this stage's own source with the fingerprints its inputs were made with."""
        return digest_of({"own": fingerprint(self.code), "inputs": dict(inputs)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
