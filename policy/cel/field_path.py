"""Paths of fields, such as ``alert.model``: what groups alerts, or makes two of them equal."""

from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from alerts import Alert
from alerts.filters import with_short_names
from policy.cel.conditions import ConditionError, parse_expression, split_path
from policy.cel.declarations import Declarations, Type
from policy.cel.syntax import path_of
from policy.cel.type_check import Issue, infer

_KINDS = frozenset({Type.STRING, Type.BOOL})


@dataclass(frozen=True)
class FieldPath:
    """A checked path: of a text, or of true and false."""

    text: str
    parts: tuple[str, ...]

    def value(self, alert: Alert, model: BaseModel) -> str:
        """The value for an interpreted alert and its model's entry in the catalogue; empty if it is missing."""
        root, name, *keys = self.parts
        found: Any = getattr(alert if root == "alert" else model, name)
        if root == "alert" and name == "segment" and keys:
            found = with_short_names(alert.segment)
        for key in keys:
            found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
        if isinstance(found, bool):
            return "true" if found else "false"
        return found.strip() if isinstance(found, str) else ""


def compile_field_path(source: str, declarations: Declarations) -> FieldPath:
    """Raises ConditionError: it is no path of ``alert`` or ``model``, or that of a number, a map or a time."""
    tree = parse_expression(source)
    path = path_of(tree)
    parts = tuple(split_path(path))
    if len(parts) < 2 or parts[0] not in {"alert", "model"}:
        raise ConditionError([Issue(0, f"{source!r} is no field: write alert.model or model.team, for example")])
    kind, issues = infer(tree, declarations)
    if errors := [issue for issue in issues if not issue.warning]:
        raise ConditionError(errors)
    if kind not in _KINDS:
        raise ConditionError([Issue(0, f"{path} is {kind}; only texts, and what is true or false, can be compared")])
    return FieldPath(path, parts)
