"""The configuration that all destinations share. Each vendor adds its own keys in ``integrations/<vendor>/``."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AnyHttpUrl, BaseModel, BeforeValidator, ConfigDict, Field

from policy.secret_sources import is_own, read_secret_file

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
        """The secret; None if its variable is not set, or its file cannot be read or may not be a secret."""
        if self.env:
            return None if is_own(self.env) else environment.get(self.env) or None
        return read_secret_file(self.file, environment)


_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")  # as Kubernetes allows
_HARMLESS = re.compile(r"\$?\{?[A-Z][A-Z0-9_ -]{0,62}\}?")
"""What is probably a name; anything else may be the secret itself, and is not repeated in an error."""


def _named_not_written(value: Any) -> Any:
    if isinstance(value, str):
        hint = f": write {{env: {value.strip('${}')}}}" if _HARMLESS.fullmatch(value) and value.startswith("$") else ""
        usual = "" if hint else ": use {env: NAME} or {file: PATH}"
        raise ValueError(f"a secret is named, never written here{hint or usual}")
    if not isinstance(value, dict):
        return value
    stated = cast("dict[Any, Any]", value)
    if set(stated) not in ({"env"}, {"file"}):
        raise ValueError("a secret is named by either {env: NAME} or {file: PATH}")
    name = stated.get("env")
    if isinstance(name, str) and name and not _VARIABLE.fullmatch(name):
        shown = f"{name!r} is" if _HARMLESS.fullmatch(name) else "env holds what is"
        meant = re.sub(r"[ -]+", "_", name.strip("${} ")) if _HARMLESS.fullmatch(name) else ""
        raise ValueError(
            f"{shown} no name of an environment variable"
            + (
                f": did you mean {meant}?"
                if meant
                else ", such as SLACK_BOT_TOKEN; the secret itself stays out of here"
            )
        )
    if name == "" or stated.get("file") == "":
        raise ValueError("a secret is named by either {env: NAME} or {file: PATH}; the name is empty")
    if isinstance(name, str) and is_own(name):
        raise ValueError(f"{name} is a variable of Tocsin itself, which no destination may receive; use another name")
    return stated


SecretSetting = Annotated[SecretRef, BeforeValidator(_named_not_written)]


class DestinationConfig(BaseModel):
    """The base of all destinations' configurations; a subclass adds its vendor's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: ClassVar[Kind]
    """A page wakes a person, a post informs a channel, a ticket is work to be done, the console prints."""
    callback_variable: ClassVar[str] = ""
    """The variable with the secret that authenticates the vendor's callbacks; no destination may receive it."""
    header_secrets: ClassVar[frozenset[str]] = frozenset()
    """The keys of secrets that are sent in HTTP headers."""

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

    def secret_faults(self, values: Mapping[str, str]) -> dict[str, str]:
        """Why secrets cannot be used, by their keys. A text never quotes the secret: ``is no URL``.

        Args:
            values: the secrets that could be read, by the keys of ``secrets``.
        """
        text = "has a line break, or another character that no HTTP header may contain"
        return {
            key: text
            for key, value in values.items()
            if key.partition(".")[0] in self.header_secrets and not (value.isascii() and value.isprintable())
        }

    def root(self, default: str) -> str:
        """The base URL of requests, without a slash at the end."""
        return (str(self.base_url) if self.base_url else default).rstrip("/")
