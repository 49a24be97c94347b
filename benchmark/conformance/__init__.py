"""Checks that a method keeps its contract: small, named, and quick enough to run while writing one.

A check gets a subject, which builds the method's network on a slim VGG-16 as often as it is asked,
and returns "" or one line that says what is wrong. An exception is a failure too. A check whose
groundwork failed is not tried: one mistake is reported once.
"""

from __future__ import annotations

from benchmark.conformance.checks import CHECKS, Check
from benchmark.conformance.run import Outcome, check_method, checked
from benchmark.conformance.subject import Subject

__all__ = ["CHECKS", "Check", "Outcome", "Subject", "check_method", "checked"]
