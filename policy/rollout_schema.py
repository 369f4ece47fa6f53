"""The shape of the policy's section ``rollout``."""

from pydantic import BaseModel, ConfigDict, Field

from policy.decision import Phase


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class RolloutExceptionConfig(_Strict):
    """Alerts that are in another phase."""

    when: str = Field(min_length=1, max_length=4000, description="A condition in CEL. The first that matches counts.")
    phase: Phase = Field(description="Their phase.")


class RolloutConfig(_Strict):
    """How much of the policy is live. Decisions are recorded in every phase."""

    phase: Phase = Field(
        default="page",
        description="`observe`: nobody is notified, and only a regulated incident has its tickets. `warn`: nothing is "
        "louder than a post. `page`: everything.",
    )
    exceptions: tuple[RolloutExceptionConfig, ...] = Field(default=(), description="Alerts in another phase.")
