"""Jira Cloud, through its REST API v3: a ticket that is looked up before it is created, and comments on it.

Contract: https://developer.atlassian.com/cloud/jira/platform/rest/v3/ (create issue, JQL search, comments);
descriptions and comments are documents (Atlassian Document Format), so an alert's text is never markup.
"""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import requests
import structlog
from jira import JIRA, JIRAError
from pydantic import AnyHttpUrl, Field
from temporalio.exceptions import ApplicationError

from activities.contracts import Brief, Delivery, Receipt
from activities.destinations.base import TIMEOUT, Destination, Secrets, cut, key_label
from activities.failures import by_status, redirected, temporary
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

MAX_SUMMARY = 255  # characters, field "summary"
_log = structlog.get_logger()


class JiraConfig(DestinationConfig):
    kind: ClassVar[Kind] = "ticket"

    base_url: AnyHttpUrl  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    user: SecretSetting = Field(description="The e-mail address of the account that the token is of.")
    token: SecretSetting = Field(description="An API token of that account.")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,254}$", description="The project's key.")
    issue_type: str = Field(default="Task", min_length=1, max_length=60, description="As the project calls it.")
    labels: tuple[str, ...] = Field(default=(), description="Set on every ticket.")

    def where(self) -> str:
        return f"{self.project} ({self.issue_type})"


class JiraDestination(Destination):
    """Opens a ticket and comments on it. It never closes one: that is a person's to do."""

    type_name = "jira"
    config = JiraConfig

    def __init__(self, name: str, config: JiraConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config
        self._local = threading.local()  # a requests session serves one thread at a time

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        try:
            if delivery.verb == "notify" or delivery.first is None:
                return await asyncio.to_thread(self._create, delivery)
            return await asyncio.to_thread(self._comment, delivery, delivery.first, attempt)
        except Exception as error:  # noqa: BLE001  # sorted, never swallowed
            raise _sorted(error) from None

    def _api(self) -> Any:
        api = getattr(self._local, "api", None)
        if api is None:
            api = cast("Any", JIRA)(
                server=self._config.root(""),
                basic_auth=(self.secrets["user"], self.secrets["token"]),
                options={"rest_api_version": "3"},
                get_server_info=False,
                max_retries=0,  # Temporal retries, durably and with Jira's Retry-After
                timeout=TIMEOUT,
            )
            # Said rather than asked: what the client sends is Cloud's API v3, and each ask is a request more.
            api._session.max_redirects = 0  # the client has no option for it
            api.deploymentType = "Cloud"
            api.applicationlinks = list  # asked for by the client before each link, and needed for other sites' only
            self._local.api = api
        return api

    def _create(self, delivery: Delivery) -> Receipt:
        api, config = self._api(), self._config
        label = key_label(delivery.key)
        # Looked up at every attempt: a create whose answer was lost must not become a second ticket.
        found = api.enhanced_search_issues(
            f'project = "{config.project}" AND labels = "{label}"', maxResults=1, fields=[], json_result=True
        )
        issues = cast("list[dict[str, Any]]", found.get("issues", []))
        ticket = str(issues[0]["key"]) if issues else self._create_issue(delivery, label)
        self._link_back(ticket, delivery.brief)
        return self._receipt(delivery.key, ticket)

    def _create_issue(self, delivery: Delivery, label: str) -> str:
        brief, config = delivery.brief, self._config
        fields: dict[str, Any] = {
            "project": {"key": config.project},
            "issuetype": {"name": config.issue_type},
            "summary": cut(brief.headline, MAX_SUMMARY),
            "description": _description(brief, delivery.note),
            # The second is how a callback of Jira's names the incident.
            "labels": ["tocsin", delivery.opening, label, *config.labels],
        }
        if brief.respond_by is None:
            return str(self._api().create_issue(prefetch=False, fields=fields).key)
        due = {"duedate": f"{brief.respond_by:%Y-%m-%d}"}
        try:
            return str(self._api().create_issue(prefetch=False, fields={**fields, **due}).key)
        except JIRAError as error:
            # Not every project shows the field, and Jira then takes no ticket that has it.
            if error.status_code != 400 or "duedate" not in str(error.response.text if error.response else error.text):
                raise
            return str(self._api().create_issue(prefetch=False, fields=fields).key)

    def _link_back(self, ticket: str, brief: Brief) -> None:
        """From the ticket to the incident's page; found again by its globalId, so a retry adds no second one."""
        if not brief.page:
            return
        shown = {"url": brief.page, "title": cut(brief.headline, MAX_SUMMARY)}
        try:
            self._api().add_remote_link(ticket, shown, globalId=f"tocsin={brief.incident}")
        except JIRAError as error:
            if error.status_code in {408, 425, 429} or (error.status_code or 500) >= 500:
                raise
            _log.info("a ticket without a link back", ticket=ticket, status=error.status_code)

    def _comment(self, delivery: Delivery, ticket: Receipt, attempt: int) -> Receipt:
        api = self._api()
        mark = key_label(delivery.key)
        if attempt > 1:
            for comment in api.comments(ticket.id):
                if mark in str(comment.raw.get("body", "")):
                    return self._receipt(delivery.key, ticket.id)
        text = delivery.note or delivery.brief.headline
        api.add_comment(ticket.id, _document([_paragraph(text), _paragraph(f"Tocsin · {mark}", small=True)]))
        return self._receipt(delivery.key, ticket.id)

    def _receipt(self, key: str, issue: str) -> Receipt:
        return self.receipt(key, issue, url=f"{self._config.root('')}/browse/{issue}")


def _description(brief: Brief, note: str) -> dict[str, Any]:
    parts = [_paragraph(note)] if note else []
    parts += [_paragraph(f"{fact.label}: {fact.value}") for fact in brief.facts]
    if brief.why:
        parts.append(_paragraph(f"Why: {brief.why}"))
    parts += [_paragraph(f"{one.source}: {one.text}", url=one.url) for one in brief.findings]
    parts += [_paragraph(link.text, url=link.url) for link in brief.links]
    parts.append(_paragraph(f"Incident: {brief.incident}"))
    return _document(parts)


def _document(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(parts)}


def _paragraph(text: str, url: str = "", *, small: bool = False) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "text", "text": text or " "}
    if url:
        node["marks"] = [{"type": "link", "attrs": {"href": url}}]
    elif small:
        node["marks"] = [{"type": "subsup", "attrs": {"type": "sub"}}]
    return {"type": "paragraph", "content": [node]}


def _sorted(error: Exception) -> ApplicationError:
    """Jira's answers: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ and each method's page."""
    if isinstance(error, requests.TooManyRedirects):
        return redirected("Jira")
    if isinstance(error, JIRAError) and error.status_code:
        headers = dict(error.response.headers) if error.response is not None else {}
        remedies = {
            401: "check the destination's user and token",
            403: "give the user the permission to create issues in the project",
            404: "check base_url, project and issue_type",
        }
        remedy = remedies.get(
            error.status_code, "check project and issue_type, and the fields that the project requires"
        )
        return by_status("Jira", int(error.status_code), headers, str(error.text), remedy)
    if isinstance(error, requests.RequestException | JIRAError | OSError):
        return temporary(f"Jira could not be reached: {type(error).__name__}")
    return temporary(f"Jira: unexpected {type(error).__name__}")
