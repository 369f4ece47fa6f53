"""The shape of the policy's section ``noise``: what keeps Tocsin quiet, and never hides a fire."""

from pydantic import BaseModel, ConfigDict, Field

from policy.durations import Duration, Interval
from policy.numbers import Number, Whole

GROUP_WINDOW, REOPEN_WITHIN = 15 * 60.0, 30 * 60.0


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class MaintenanceConfig(_Strict):
    """A recurring maintenance window: what is triggered in it, and still is when it ends, is notified then, once."""

    when: str = Field(min_length=1, max_length=4000, description="A condition in CEL: which alerts wait.")
    cron: str = Field(default="", description="When it begins, as a cron expression of five fields; or `rrule`.")
    rrule: str = Field(
        default="",
        max_length=1000,
        description="When it begins, as an RRULE of RFC 5545, with or without a line `DTSTART:`; without one, "
        "intervals count from Monday, 2024-01-01.",
    )
    duration: Interval = Field(description="How long it lasts.")
    timezone: str = Field(default="UTC", description="The time zone of `cron` or `rrule`.")
    reason: str = Field(default="", max_length=200, description="What is done then, for messages and traces.")


class FlappingConfig(_Strict):
    """When a problem counts as flapping: one notification says so, with the count, and the rest is folded into it."""

    changes: Whole = Field(default=4, ge=3, le=100, description="This many changes between triggered and cleared …")
    within: Interval = Field(default=3600.0, description="… within this time.")
    until_stable: Interval = Field(
        default=1800.0, description="It ends when the problem has not changed for this long, triggered or cleared."
    )


class SeasonalConfig(_Strict):
    """Alerts whose value is within what this hour has always been are expected: recorded, and in the digest of the
    tier low; nobody is notified. Never one of a regulated model, nor of a metric for which the model has an objective.
    """

    when: str = Field(min_length=1, max_length=4000, description="A condition in CEL: which alerts may be expected.")
    period: Interval = Field(default=7 * 86_400.0, ge=3600.0, description="After which time the values repeat.")
    history: Interval = Field(
        default=8 * 7 * 86_400.0,
        description="How far back earlier values count: four periods at least. With values in fewer, nothing is "
        "expected.",
    )
    expected: Number = Field(
        default=0.99, ge=0.5, le=0.9999, description="The share of usual values that the band holds."
    )


class PageBudgetConfig(_Strict):
    """How many pages a team gets. What goes beyond is listed in one page that says so. Never a regulated incident."""

    per: str = Field(default="model.team", description="The field whose value shares the pages, such as `model.team`.")
    pages: Whole = Field(ge=1, le=10_000, description="This many incidents page …")
    within: Interval = Field(default=3600.0, description="… within this time.")


class SilencesConfig(_Strict):
    """What people may silence by a matcher."""

    at_most: Interval = Field(default=7 * 86_400.0, description="How long a silence may last.")
    confirm_above: Whole = Field(
        default=10,
        ge=0,
        le=100_000,
        description="A silence that matches more than this, counting open incidents and last week's alerts, needs a "
        "second yes with the count. So does one that matches a critical rule in production.",
    )


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
    flapping: FlappingConfig | None = Field(default=None, description="What is triggered and clears again and again.")
    page_budget: PageBudgetConfig | None = Field(default=None, description="How many pages a team gets.")
    seasonal: tuple[SeasonalConfig, ...] = Field(default=(), description="What is usual at this hour of the week.")
    silences: SilencesConfig = Field(default=SilencesConfig(), description="What people may silence.")
    maintenance: tuple[MaintenanceConfig, ...] = Field(default=(), description="When notifications wait.")
