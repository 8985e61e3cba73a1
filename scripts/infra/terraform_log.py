"""Reads Terraform's machine-readable log of an apply, and tells how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class ApplyLog:
    """Follows an apply. ``show`` is given a short text whenever it got further.

    The format: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._planned = 0
        self._under_way: dict[str, str] = {}
        self._done = 0
        self._errors: list[str] = []
        self._other_lines: list[str] = []

    def read(self, line: str) -> None:
        """Take the next line of the log. Lines that are no JSON are kept for `failure`."""
        try:
            message = json.loads(line)
        except ValueError:
            self._other_lines.append(line.strip())
            return
        match message.get("type"):
            case "change_summary" if message["changes"]["operation"] == "plan":
                self._planned = sum(message["changes"][kind] for kind in ("add", "change", "remove"))
            case "diagnostic" if message["diagnostic"]["severity"] == "error":
                self._errors.append(_one_line(message["diagnostic"]))
            case "apply_start" | "apply_progress" | "apply_complete" | "apply_errored":
                if message["hook"]["action"] != "read":
                    self._advance(message["type"], message["hook"])

    def failure(self) -> str:
        """Why it failed, in one line."""
        return "; ".join(self._errors) or " ".join(self._other_lines[-3:]) or "it gave no reason"

    def _advance(self, kind: str, hook: dict[str, Any]) -> None:
        resource = hook["resource"]
        if kind in ("apply_complete", "apply_errored"):
            self._under_way.pop(resource["addr"], None)
            self._done += 1
            self._show(f"{self._done} of {self._planned}: {resource['addr'].removeprefix('module.')}")
        else:
            self._under_way[resource["addr"]] = resource["resource_type"]
            self._show(self._waiting(int(hook.get("elapsed_seconds", 0))))

    def _waiting(self, seconds: int) -> str:
        kinds = ", ".join(sorted(set(self._under_way.values())))
        waited = f" ({seconds} s)" if seconds else ""
        return f"{self._done} of {self._planned}, waiting for {kinds}{waited}"


def _one_line(diagnostic: dict[str, Any]) -> str:
    where = f"{diagnostic['address']}: " if diagnostic.get("address") else ""
    detail = " ".join(diagnostic.get("detail", "").split())
    return f"{where}{diagnostic['summary']}. {detail}".strip()
