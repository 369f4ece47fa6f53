"""What keeps Tocsin quiet, compiled from the policy's section ``noise``."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from alerts import Alert, incident_id
from alerts.fingerprint import workflow_id
from policy.cel.conditions import ConditionError
from policy.cel.declarations import Declarations
from policy.cel.field_path import FieldPath, compile_field_path
from policy.durations import Seconds
from policy.noise_schema import NoiseConfig
from policy.schema import ModelConfig

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Noise:
    """How alerts are grouped. ``config`` is the section as it was written."""

    config: NoiseConfig
    group_by: tuple[FieldPath, ...] = ()
    group_window: Seconds = 0.0
    reopen_within: Seconds = 0.0

    def incident_of(self, alert: Alert, model: ModelConfig) -> str:
        """The id of the incident that an interpreted alert belongs to, unless its problem is in an open one already.

        Args:
            alert: the alert, in the policy's words. A drill, and a delivery that nothing can read, are never grouped.
            model: its entry in the catalogue.
        """
        if not self.group_by or alert.drill or alert.quarantined:
            return incident_id(alert)
        values = tuple([path.value(alert, model) for path in self.group_by])
        return _group_id(self.group_by, values) if all(values) else incident_id(alert)


@lru_cache(maxsize=4096)
def _group_id(paths: tuple[FieldPath, ...], values: tuple[str, ...]) -> str:
    named = [[path.text, value.casefold()] for path, value in zip(paths, values, strict=True)]
    digest = hashlib.sha256(json.dumps(["group", *named]).encode("utf-8", "surrogatepass")).hexdigest()
    return workflow_id("-".join(values), digest)


def compile_noise(
    config: NoiseConfig, declarations: Declarations, report: Callable[[_Path, str, int | None], None]
) -> Noise:
    """Problems go to ``report`` with their path and offset."""
    paths: list[FieldPath] = []
    for index, source in enumerate(config.group_by):
        place: _Path = ("noise", "group_by", index)
        try:
            path = compile_field_path(source, declarations)
        except ConditionError as error:
            for issue in error.issues:
                report(place, issue.message, issue.offset)
            continue
        if any(path.text == one.text for one in paths):
            report(place, f"{path.text} is listed twice", None)
        paths.append(path)
    return Noise(config, tuple(paths), config.group_window, config.reopen_within)
