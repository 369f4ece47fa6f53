"""``/api/silences``: what people silence for a time, by a matcher."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from alerts import clean
from gateway.dependencies import ResponderDep, SilencesDep, ViewerDep
from gateway.guarded_route import GuardedRoute
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.query_times import UtcTime
from gateway.silences import Preview, SilenceError, new_silence
from gateway.temporal_errors import temporal_problems
from incident.suppression import Silence
from integrations.base.sql_store import StoreUnavailableError
from policy import format_duration
from policy.durations import parse_duration
from policy.matchers import MAX_CHARS, matcher_of_fields

router = APIRouter(prefix="/api/silences", tags=["silences"], route_class=GuardedRoute)
_log = structlog.get_logger()
SilenceId = Annotated[str, Path(alias="id", pattern=r"^s-[0-9a-f]{1,40}$", description="s- and hexadecimal digits.")]


def _clean(text: str) -> str:
    return clean(text, 500)


class MatcherRequest(BaseModel):
    """Which problems: a condition, or the values of fields; with both, what has both."""

    model_config = ConfigDict(extra="forbid")

    matcher: str = Field(
        default="",
        max_length=MAX_CHARS,
        description='A condition in CEL, as a rule has it: `alert.model == "support-chatbot"`. An alert that lacks a '
        "field which the matcher names is not silenced.",
    )
    fields: dict[str, str] = Field(
        default={}, max_length=20, description='The values of fields: `{"alert.model": "support-chatbot"}`.'
    )

    @property
    def condition(self) -> str:
        """Both as one condition."""
        parts = [f"({self.matcher})" if self.fields else self.matcher] if self.matcher.strip() else []
        return " && ".join([*parts, *([matcher_of_fields(self.fields)] if self.fields else [])])


class SilenceRequest(MatcherRequest):
    """A silence: which problems, why, and until when."""

    reason: Annotated[str, AfterValidator(_clean)] = Field(min_length=1, max_length=500)
    duration: str = Field(default="", max_length=20, description="How long, such as `2h`; or state `ends_at`.")
    starts_at: UtcTime | None = Field(default=None, description="By default, now.")
    ends_at: UtcTime | None = None
    confirm: int | None = Field(
        default=None, ge=0, description="The second yes: the count that the preview, or the refusal, named."
    )
    by: Annotated[str, AfterValidator(_clean)] = Field(
        default="", max_length=200, description="A name to show beside the owner of the token, who acts."
    )
    source: Annotated[str, Field(pattern="^(api|cli)$")] = "api"


class SilenceList(BaseModel):
    """Silences; the one that ends first comes first."""

    silences: list[Silence]


class CreatedSilence(BaseModel):
    """A silence, and what it matches."""

    silence: Silence
    in_force: bool = Field(description="False if it is accepted durably, and a worker will store it.")
    preview: Preview


@router.get("", summary="List silences", responses=responses(401, 403, 422, 503))
async def list_silences(
    caller: ViewerDep,
    silences: SilencesDep,
    *,
    ended: Annotated[bool, Query(description="Also those that ended in the last 90 days.")] = False,
) -> SilenceList:
    del caller
    try:
        return SilenceList(silences=await silences.silences(ended=ended))
    except StoreUnavailableError as error:
        raise _unavailable(error) from None


@router.post("/preview", summary="Count what a matcher matches", responses=responses(400, 401, 403, 422))
async def preview_silence(caller: ViewerDep, silences: SilencesDep, request: MatcherRequest) -> Preview:
    del caller
    now = datetime.now(UTC)
    try:
        silences.check(request.condition, now, now + timedelta(seconds=1))
        return await silences.preview(request.condition)
    except SilenceError as error:
        raise _refused(error) from None


@router.post(
    "",
    status_code=201,
    summary="Silence what a matcher matches, for a time",
    responses={
        202: {"model": CreatedSilence, "description": "Durable, and in force as soon as a worker is available"},
        **responses(400, 401, 403, 409, 422, 503),
    },
)
async def create_silence(
    caller: ResponderDep, silences: SilencesDep, request: SilenceRequest, response: Response
) -> CreatedSilence:
    try:
        starts_at, ends_at = _times(request)
        silences.check(request.condition, starts_at, ends_at)
        preview = await silences.preview(request.condition)
    except SilenceError as error:
        raise _refused(error) from None
    if preview.confirmations and (request.confirm is None or request.confirm < preview.count):
        ask = f"repeat it with `confirm: {preview.count}` if that is what you want"
        raise Problem(409, f"this needs a second yes: {ask}", *preview.confirmations, code="unconfirmed_silence")
    silence = new_silence(
        request.condition, request.reason, caller.acting_for(request.by), request.source, starts_at, ends_at
    )
    async with temporal_problems():
        in_force = await silences.create(silence)
    _log.info("silence_created", silence=silence.id, by=silence.by, matcher=silence.matcher)
    if not in_force:
        response.status_code = 202
    return CreatedSilence(silence=silence, in_force=in_force, preview=preview)


@router.post("/{id}/expire", summary="End a silence now", responses=responses(400, 401, 403, 404, 409, 422, 503))
async def expire_silence(caller: ResponderDep, silences: SilencesDep, identifier: SilenceId) -> Silence:
    try:
        silence = await silences.silence(identifier)
    except StoreUnavailableError as error:
        raise _unavailable(error) from None
    if silence is None:
        raise Problem(404, f"no silence is called {identifier}", code="unknown_silence")
    now = datetime.now(UTC)
    if silence.until <= now:
        raise Problem(409, f"{identifier} ended at {silence.until:%Y-%m-%d %H:%M:%S} UTC", code="silence_over")
    ended = silence.model_copy(update={"ended_at": now, "ended_by": caller.name})
    async with temporal_problems():
        await silences.create(ended)
    _log.info("silence_expired", silence=identifier, by=caller.name)
    return ended


def _times(request: SilenceRequest) -> tuple[datetime, datetime]:
    """Raises SilenceError."""
    starts_at = request.starts_at or datetime.now(UTC)
    if bool(request.duration) == bool(request.ends_at):
        raise SilenceError("state either `duration`, such as 2h, or `ends_at`")
    if request.ends_at:
        return starts_at, request.ends_at
    try:
        return starts_at, starts_at + timedelta(seconds=parse_duration(request.duration))
    except (ValueError, OverflowError) as error:
        raise SilenceError(f"duration: {error}; such as {format_duration(7200)} is needed") from None


def _refused(error: SilenceError) -> Problem:
    first, *others = error.reasons
    return Problem(422, first, *others, code=error.code)


def _unavailable(error: StoreUnavailableError) -> Any:
    return Problem(503, f"the gateway's database is unavailable: {error}", code=error.code, headers=RETRY_LATER)
