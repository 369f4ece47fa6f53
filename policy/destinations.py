"""The configuration that all destinations share. Each vendor adds its own keys in ``integrations/<vendor>/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AnyHttpUrl, BaseModel, BeforeValidator, ConfigDict, Field

Kind = Literal["page", "post", "ticket", "console"]


class SecretRef(BaseModel):
    """The name of a secret: ``{env: NAME}`` or ``{file: PATH}``. A policy never contains the secret itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    env: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        return self.env or self.file

    def resolve(self, environment: Mapping[str, str]) -> str | None:
        """The secret; None if its variable is not set or its file cannot be read."""
        if self.env:
            return environment.get(self.env) or None
        try:
            return Path(self.file).read_text(encoding="utf-8").strip() or None
        except OSError:
            return None


def _named_not_written(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("a secret is named, never written here: use {env: NAME} or {file: PATH}")
    if isinstance(value, dict) and set(value) not in ({"env"}, {"file"}):  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError("a secret is named by either {env: NAME} or {file: PATH}")
    return value  # pyright: ignore[reportUnknownVariableType]


SecretSetting = Annotated[SecretRef, BeforeValidator(_named_not_written)]


class DestinationConfig(BaseModel):
    """The base of all destinations' configurations; a subclass adds its vendor's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: ClassVar[Kind]
    """A page wakes a person, a post informs a channel, a ticket is work to be done, the console prints."""

    type: str = Field(description="The vendor; it determines the other keys.")
    base_url: AnyHttpUrl | None = Field(default=None, description="Replaces the vendor's own base URL.")
    schedule: str = Field(
        default="0 8 * * *", description="A cron expression: when digests to this destination are sent."
    )
    timezone: str = Field(default="UTC", description="The time zone of the schedule.")
    when_empty: Literal["skip", "send"] = Field(default="skip", description="Whether an empty digest is sent.")
    trend: bool | None = Field(
        default=None,
        description="Whether digests contain a trend for each model. By default, those that cover a week or more do.",
    )

    def label(self) -> str:
        """The place at the vendor, for people: a channel or a project. Contains no secret."""
        return ""

    def secrets(self) -> dict[str, SecretRef]:
        """The named secrets by key. The key of a secret inside a map has two parts: ``headers.Authorization``."""
        values: dict[str, Any] = {key: getattr(self, key) for key in type(self).model_fields}
        for key, value in tuple(values.items()):
            if isinstance(value, dict):
                values |= {f"{key}.{name}": item for name, item in cast("dict[str, Any]", value).items()}
        return {key: value for key, value in values.items() if isinstance(value, SecretRef)}

    def root(self, default: str) -> str:
        """The base URL of requests, without a slash at the end."""
        return (str(self.base_url) if self.base_url else default).rstrip("/")
