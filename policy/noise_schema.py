"""The shape of the policy's section ``noise``: what keeps Tocsin quiet, and never hides a fire."""

from pydantic import BaseModel, ConfigDict, Field

from policy.durations import Duration, Interval

GROUP_WINDOW, REOPEN_WITHIN = 15 * 60.0, 30 * 60.0


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class NoiseConfig(_Strict):
    """How several alerts become one page, and what is not notified at all."""

    group_by: tuple[str, ...] = Field(
        default=(),
        description="Fields such as `alert.model`: monitors whose alerts share their values are problems of one "
        "incident. An alert that lacks one of them has an incident of its own. With `[]`, every monitor has.",
    )
    group_window: Duration = Field(
        default=GROUP_WINDOW,
        description="A problem that begins within this time after the incident's last page belongs to the same fire: "
        "only destinations that hold no message of it yet are notified. One that begins later pages again.",
    )
    reopen_within: Interval = Field(
        default=REOPEN_WITHIN,
        description="What fires again within this time after its incident has closed reopens that incident. In an open "
        "incident, a problem whose last alert is longer ago fires again: Arize sends a webhook only when a monitor "
        "starts to be triggered.",
    )
