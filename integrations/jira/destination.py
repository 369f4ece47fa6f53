"""Jira Cloud, through its REST API v3: creates a ticket, after a search for it, and comments on it.

Contract: https://developer.atlassian.com/cloud/jira/platform/rest/v3/ (create issue, JQL search, comments);
descriptions and comments are documents (Atlassian Document Format), so an alert's text is never markup.
"""

import json
import threading
from collections.abc import Iterable
from typing import Any, cast

import requests
import structlog
from jira import JIRA, JIRAError

from incident.message import MessageContent
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, Destination, Secrets
from integrations.base.errors import IntegrationError, TemporaryError, from_http_status, redirected, unreachable
from integrations.base.text import marker, text_length, truncate
from integrations.base.threads import OwnThreads
from integrations.jira.config import JiraConfig
from integrations.jira.limits import MAX_LINK_TITLE, MAX_PAGES, MAX_SUMMARY, MAX_TEXT, PAGE_SIZE

_THREADS = 32
"""Tickets and comments at once."""

_log = structlog.get_logger()


class JiraDestination(Destination[JiraConfig]):
    """Opens a ticket and comments on it. Only a person closes a ticket."""

    def __init__(self, name: str, config: JiraConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self._local = threading.local()  # a requests session serves one thread at a time
        self._threads = OwnThreads(f"jira-{name}", _THREADS)

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        try:
            if notification.verb == "notify" or notification.original_receipt is None:
                return await self._threads.run(self._create, notification)
            return await self._threads.run(self._comment, notification, notification.original_receipt, attempt)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise _to_error(error) from None

    async def close(self) -> None:
        self._threads.close()

    def _api(self) -> Any:
        api = getattr(self._local, "api", None)
        if api is None:
            api = cast("Any", JIRA)(
                server=self.config.root(""),
                basic_auth=(self.secrets["user"], self.secrets["token"]),
                options={"rest_api_version": "3"},
                get_server_info=False,
                max_retries=0,  # Temporal retries, durably and with Jira's Retry-After
                timeout=TIMEOUT,
            )
            api._session.max_redirects = 0  # the client has no option for it
            # The client would send one request for each of these two, and the answers are known.
            api.deploymentType = "Cloud"
            api.applicationlinks = list  # before each link, and needed for links to other sites only
            self._local.api = api
        return api

    def _create(self, notification: Notification) -> Receipt:
        api, config = self._api(), self.config
        label = marker(notification.key)
        # Searched on every attempt: a create whose response was lost must not become a second ticket.
        found = api.enhanced_search_issues(
            f'project = "{config.project}" AND labels = "{label}"', maxResults=1, fields=[], json_result=True
        )
        issues = cast("list[dict[str, Any]]", found.get("issues", []))
        ticket = str(issues[0]["key"]) if issues else self._create_issue(notification, label)
        self._link_back(ticket, notification.content)
        return self._receipt(notification.key, ticket)

    def _create_issue(self, notification: Notification, label: str) -> str:
        content, config = notification.content, self.config
        fields: dict[str, Any] = {
            "project": {"key": config.project},
            "issuetype": {"name": config.issue_type},
            "summary": truncate(content.headline, MAX_SUMMARY),
            "description": _description(content, notification.note),
            # Jira's callbacks name the incident by the second label.
            "labels": ["tocsin", notification.incident_key, label, *config.labels],
        }
        if content.respond_by is None:
            return str(self._api().create_issue(prefetch=False, fields=fields).key)
        due_date = {"duedate": f"{content.respond_by:%Y-%m-%d}"}
        try:
            return str(self._api().create_issue(prefetch=False, fields={**fields, **due_date}).key)
        except JIRAError as error:
            # Jira rejects a ticket with this field if the project does not show it.
            if error.status_code != 400 or "duedate" not in str(error.response.text if error.response else error.text):
                raise
            return str(self._api().create_issue(prefetch=False, fields=fields).key)

    def _link_back(self, ticket: str, content: MessageContent) -> None:
        """Link the ticket to the incident's page. The link has a globalId, so a retry adds no second one."""
        if not content.incident_url:
            return
        link = {"url": content.incident_url, "title": truncate(content.headline, MAX_LINK_TITLE)}
        try:
            self._api().add_remote_link(ticket, link, globalId=f"tocsin={content.incident}")
        except JIRAError as error:
            if error.status_code in {408, 425, 429} or (error.status_code or 500) >= 500:
                raise
            _log.info("ticket_link_refused", ticket=ticket, status=error.status_code)

    def _comment(self, notification: Notification, ticket: Receipt, attempt: int) -> Receipt:
        api = self._api()
        mark = marker(notification.key)
        if attempt > 1 and self._comment_exists(ticket.id, mark):
            return self._receipt(notification.key, ticket.id)
        text = notification.note or notification.content.headline
        api.add_comment(ticket.id, _document([_paragraph(text), _paragraph(f"Tocsin · {mark}", small=True)]))
        return self._receipt(notification.key, ticket.id)

    def _comment_exists(self, ticket: str, mark: str) -> bool:
        """Whether an earlier attempt wrote the comment although no response arrived. The newest comments come first."""
        start = 0
        for _ in range(MAX_PAGES):
            query = {"orderBy": "-created", "startAt": start, "maxResults": PAGE_SIZE}
            page = cast("dict[str, Any]", self._api()._get_json(f"issue/{ticket}/comment", params=query))
            comments = cast("list[dict[str, Any]]", page.get("comments") or [])
            if any(mark in json.dumps(comment.get("body", "")) for comment in comments):
                return True
            start += len(comments)
            if not comments or start >= int(page.get("total", 0)):
                break
        return False

    def _receipt(self, key: str, issue: str) -> Receipt:
        return self.receipt(key, issue, url=f"{self.config.root('')}/browse/{issue}")


def _description(content: MessageContent, note: str) -> dict[str, Any]:
    """The facts, the reason and the links, as much as Jira's limit allows; the incident always."""
    last = _paragraph(f"Incident: {content.incident}")
    texts = [(note, "")] if note else []
    texts += [(f"{fact.label}: {fact.value}", "") for fact in content.facts]
    texts += [(f"Why: {content.reason}", "")] if content.reason else []
    texts += [(link.text, link.url) for link in content.links]
    room = MAX_TEXT - _size(last) - _size(_TRUNCATED)
    parts: list[dict[str, Any]] = []
    for text, url in texts:
        part = _paragraph(text, url)
        room -= _size(part)
        if room < 0:
            parts.append(_TRUNCATED)
            break
        parts.append(part)
    return _document([*parts, last])


def _size(paragraph: dict[str, Any]) -> int:
    """What a paragraph counts, generously: its text, a link's URL, and its line break."""
    (node,) = paragraph["content"]
    return (
        text_length(node["text"])
        + sum(len(mark.get("attrs", {}).get("href", "")) for mark in node.get("marks", ()))
        + 8
    )


def _document(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(parts)}


def _paragraph(text: str, url: str = "", *, small: bool = False) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "text", "text": text or " "}
    if url:
        node["marks"] = [{"type": "link", "attrs": {"href": url}}]
    elif small:
        node["marks"] = [{"type": "subsup", "attrs": {"type": "sub"}}]
    return {"type": "paragraph", "content": [node]}


_TRUNCATED = _paragraph("… The incident's page has the rest.")


def _to_error(error: Exception) -> IntegrationError:
    """Jira's responses: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ and each method's page."""
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
        return from_http_status("Jira", int(error.status_code), headers, str(error.text), remedy)
    if isinstance(error, requests.RequestException | JIRAError | OSError):
        return unreachable("Jira", error)
    return TemporaryError(f"Jira: unexpected {type(error).__name__}")
