"""Pages as a parser reads them: whether anything in them does more than stand there."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

VOID_ELEMENTS = {"meta", "img", "br"}
SHAPES = {"line", "circle", "rect", "polyline", "polygon"}  # of SVG, closed in their own tag


class Page(HTMLParser):
    """A page as a browser's parser reads it: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHAPES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            assert self.open[-1] not in self.raw
            self.raw[self.open[-1]] = data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [found for _, one in self.elements if (found := one.get(attribute)) is not None]


def check_inert(text: str) -> Page:
    """Assert that the page holds one style and one script of its own and loads nothing."""
    page = Page(text)
    assert len(page.all("style")) == len(page.all("script")) == 1
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not names & {"style", "srcset", "action", "formaction", "background"}
    assert all(value.startswith("data:image/jpeg;base64,") for value in page.values("src"))
    assert all(re.match(r"#|https://arxiv\.org/abs/", link) for link in page.values("href"))
    assert not re.search(r"url\(|@import", page.raw["style"])
    (policy,) = [one["content"] for one in page.all("meta") if "http-equiv" in one]
    assert policy is not None
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    return page
