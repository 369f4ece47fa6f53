"""A reported change: a deploy, a configuration or feature flag that changed, a new version of a prompt."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts import clean, web_address
from alerts.values import moment, snake

RETENTION = timedelta(days=30)
MAX_CLOCK_SKEW = timedelta(hours=1)
MAX_NAMES = 50


class ReportedChange(BaseModel):
    """Data that the context of a page can show. It opens no incident and notifies nobody.

    Texts are one line, without control characters. ``models`` and ``services`` are empty if the change names none: it
    may then concern every model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: str = Field(description="In snake case: deploy, configuration, feature_flag, prompt, evaluator, …")
    title: str
    at: datetime = Field(description="When it took effect, in UTC.")
    models: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    environment: str = Field(default="", description="In lower case; empty if it concerns every environment.")
    version: str = ""
    link: str = Field(default="", description="An http or https URL, or empty.")
    by: str = Field(default="", description="Who made it.")
    source: str = Field(default="", description="Where it was reported: arize, or changes for /webhooks/changes.")


def _line(limit: int) -> BeforeValidator:
    def check(value: Any) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # YAML and shells turn versions such as 42 into numbers
        if not isinstance(value, str):
            raise ValueError("must be text")
        return clean(value, limit)

    return BeforeValidator(check)


def _names(value: Any) -> tuple[str, ...]:
    listed = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in listed):
        raise ValueError("must be a name, or a list of names")
    if len(listed) > MAX_NAMES:
        raise ValueError(f"has {len(listed)} names; at most {MAX_NAMES} are accepted")
    return tuple(dict.fromkeys(name for name in (clean(str(one), 255) for one in listed) if name))


def _kind(value: Any) -> str:
    found = snake(value)[:40] if isinstance(value, str) else ""
    if not found:
        raise ValueError("must be text, such as deploy, configuration, feature_flag, prompt or evaluator")
    return found


def _link(value: Any) -> str:
    if value in (None, ""):
        return ""
    address = web_address(value)
    if not address:
        raise ValueError("must be an http or https URL of at most 2,000 characters")
    return address


def _at(value: Any) -> datetime | None:
    if value is None:
        return None
    found = moment(value)
    if found is None:
        raise ValueError("must be a time in ISO 8601, such as 2026-01-31T12:00:00Z, or in Unix seconds")
    now = datetime.now(UTC)
    if found > now + MAX_CLOCK_SKEW:
        raise ValueError("is in the future; report a change when it takes effect")
    if found < now - RETENTION:
        raise ValueError(f"is older than the {RETENTION.days} days for which changes are kept")
    return found


_Names = Annotated[tuple[str, ...], BeforeValidator(_names, json_schema_input_type=str | list[str])]
_Line = Annotated[str, _line(255)]


class ChangeReport(BaseModel):
    """The body of ``POST /webhooks/changes``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, BeforeValidator(_kind)] = Field(
        description="deploy, configuration, feature_flag, prompt, evaluator, or a name of yours; `type` is the same."
    )
    title: Annotated[str, _line(500)] = Field(default="", description="One line for people.")
    model: _Names = Field(default=(), description="The models that it concerns: a name, or a list; none means all.")
    service: _Names = Field(default=(), description="The services that it concerns: a name, or a list.")
    environment: _Line = Field(default="", description="Such as production; empty means every environment.")
    version: _Line = Field(default="", description="The version that is in effect now.")
    link: Annotated[str, BeforeValidator(_link)] = Field(default="", description="A URL; `url` is the same.")
    at: Annotated[datetime | None, BeforeValidator(_at, json_schema_input_type=str | float | None)] = Field(
        default=None, description="When it took effect, ISO 8601 or Unix seconds; by default the time of the report."
    )
    by: _Line = Field(default="", description="Who made it.")

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, body: Any) -> Any:
        """``type`` for ``kind``, ``url`` for ``link``, and plurals."""
        if not isinstance(body, Mapping):
            return body
        found = dict(cast("Mapping[str, Any]", body))
        for other, name in (("type", "kind"), ("url", "link"), ("models", "model"), ("services", "service")):
            if other in found:
                if name in found:
                    raise ValueError(f"has both {name} and {other}, which mean the same")
                found[name] = found.pop(other)
        return found

    def as_change(self, webhook_id: str, now: datetime) -> ReportedChange:
        """The change, with the id of the webhook that reported it."""
        what = " ".join(part for part in (*self.service[:1], self.version) if part)
        return ReportedChange(
            id=change_id("changes", webhook_id),
            kind=self.kind,
            title=self.title or f"{self.kind.replace('_', ' ').capitalize()}{f': {what}' if what else ''}",
            at=self.at or now,
            models=self.model,
            services=self.service,
            environment=self.environment.casefold(),
            version=self.version,
            link=self.link,
            by=self.by,
            source="changes",
        )


def change_id(source: str, sender_id: str) -> str:
    """The id of a change: the same for each delivery of the event that reported it."""
    return f"change-{hashlib.sha256(f'{source}:{sender_id}'.encode('utf-8', 'replace')).hexdigest()[:24]}"
