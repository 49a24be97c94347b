"""Equations: indices, powers, two sides, and nothing that is HTML."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "made"))
from equations import render


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x_c = a^2", "<span>x<sub>c</sub></span><span>= a<sup>2</sup></span>"),
        ("s_{A,c}", '<span class="whole">s<sub>A,c</sub></span>'),
        ("d^(k−1) p_(k)", '<span class="whole">d<sup>(k−1)</sup> p<sub>(k)</sub></span>'),
        ("a_ij^c", '<span class="whole">a<sub>ij</sub><sup>c</sup></span>'),
        (" + b", "<span></span><span>+ b</span>"),
        ("a < b & c", '<span class="whole">a &lt; b &amp; c</span>'),
        ("a = b = c", "<span>a</span><span>= b = c</span>"),
        ("a    b", '<span class="whole">a<span class="gap"></span> b</span>'),
    ],
)
def test_lines(source: str, shown: str) -> None:
    assert render(source, "equation", "equation") == f'<div class="equation">{shown}</div>'
