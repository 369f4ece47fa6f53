"""What every destination's configuration shares. The vendors' own keys stand beside the code that uses them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AnyHttpUrl, BaseModel, BeforeValidator, ConfigDict, Field

Kind = Literal["page", "post", "ticket", "console"]


class SecretRef(BaseModel):
    """Names a secret: ``{env: NAME}`` or ``{file: PATH}``. The secret itself never stands in a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        return self.env or self.file

    def resolve(self, environment: Mapping[str, str]) -> str | None:
        """The secret, or None where its variable is not set or its file is not there."""
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
        raise ValueError("a secret is named by {env: NAME} or {file: PATH}, one of the two")
    return value  # pyright: ignore[reportUnknownVariableType]


SecretSetting = Annotated[SecretRef, BeforeValidator(_named_not_written)]


class DestinationConfig(BaseModel):
    """The base of every destination's configuration; a subclass adds its vendor's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[Kind]
    """page wakes somebody, post informs a channel, ticket is work to be done, console prints."""

    type: str = Field(description="Which vendor's keys it has.")
    base_url: AnyHttpUrl | None = Field(default=None, description="Instead of the vendor's own root.")
    schedule: str = Field(default="0 8 * * *", description="Cron: when a digest to this destination is sent.")
    timezone: str = Field(default="UTC", description="The schedule's time zone.")
    when_empty: Literal["skip", "send"] = Field(
        default="skip", description="Whether a digest that nothing was gathered for is sent all the same."
    )
    trend: bool | None = Field(
        default=None,
        description="Whether its digests report how every model fared; left out, those of a week or longer do.",
    )

    def where(self) -> str:
        """The place there that it reaches, for people: a channel, a project; no secret."""
        return ""

    def secrets(self) -> dict[str, SecretRef]:
        """The named secrets, by key; one in a map by both keys, as in ``headers.Authorization``."""
        values: dict[str, Any] = {key: getattr(self, key) for key in type(self).model_fields}
        for key, value in tuple(values.items()):
            if isinstance(value, dict):
                values |= {f"{key}.{name}": one for name, one in cast("dict[str, Any]", value).items()}
        return {key: value for key, value in values.items() if isinstance(value, SecretRef)}

    def root(self, default: str) -> str:
        """Where requests go, without a slash at the end."""
        return (str(self.base_url) if self.base_url else default).rstrip("/")
