"""A stand-in for Jira Cloud's REST API v3: create, search, comment, link."""

import re
from typing import Any

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor
from tests.vendors.specs import body_faults

MAX_TEXT = 32_767
"""support.atlassian.com, "The entered text is too long. It exceeds the allowed limit of 32,767 characters."."""


def document_length(node: Any) -> int:
    """The length of a document's text, with a line break for each block."""
    own = text_length(node.get("text", "")) + (node.get("type") in {"paragraph", "heading"})
    return own + sum(document_length(one) for one in node.get("content", ()))


def _page_of_comments(comments: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """REST v3, Get comments: the oldest first unless ``orderBy`` says otherwise, and at most 100 of them."""
    ordered = comments[::-1] if query.get("orderBy") == "-created" else comments
    start, size = int(query.get("startAt", 0)), min(int(query.get("maxResults", 50)), 100)
    return {"comments": ordered[start : start + size], "startAt": start, "maxResults": size, "total": len(comments)}


class Jira(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.links: dict[str, dict[str, dict[str, Any]]] = {}
        """By ticket and globalId."""
        self.without_due_date = False
        """The project does not show the field *Due date*."""

    def answer(self, request: Request) -> tuple[int, Any]:
        comment = re.fullmatch(r"/rest/api/3/issue/([A-Z0-9]+-\d+)/comment", request.path)
        if not request.headers.get("Authorization", "").startswith("Basic "):
            return 401, {"errorMessages": ["You are not authenticated."]}
        link = re.fullmatch(r"/rest/api/3/issue/([A-Z0-9]+-\d+)/remotelink", request.path)
        match request.method, request.path:
            case "POST", "/rest/api/3/issue":
                return self._create(request.body)
            case "GET", "/rest/api/3/search/jql":  # newer than the API description; /search is retired
                label = re.search(r'labels = "([^"]+)"', request.query["jql"])
                assert label is not None
                found = [
                    {"id": "1", "key": key, "fields": {"labels": one["labels"]}}
                    for key, one in list(self.issues.items())
                    if label[1] in one["labels"]
                ]
                start, size = int(request.query.get("nextPageToken", 0)), int(request.query.get("maxResults", 50))
                is_last = start + size >= len(found)
                more = {} if is_last else {"nextPageToken": str(start + size)}
                return 200, {"issues": found[start : start + size], "isLast": is_last, **more}
            case "POST", _ if comment:
                path = "/rest/api/3/issue/{issueIdOrKey}/comment"
                self.violations += body_faults("jira-cloud-v3", path, "post", request.body)
                if not isinstance(request.body.get("body"), dict):
                    self.violations.append("a comment in v3 is a document")
                if document_length(request.body["body"]) > MAX_TEXT:
                    return self._too_long("comment")
                stored = {"id": str(len(self.comments[comment[1]]) + 1), "body": request.body["body"]}
                self.comments[comment[1]].append(stored)
                return 201, {**stored, "self": f"{self.base_url}{request.path}/{stored['id']}"}
            case "POST", _ if link:
                path = "/rest/api/3/issue/{issueIdOrKey}/remotelink"
                self.violations += body_faults("jira-cloud-v3", path, "post", request.body)
                self.links.setdefault(link[1], {})[request.body["globalId"]] = request.body["object"]
                return 201, {"id": 10000, "self": f"{self.base_url}{request.path}/10000"}
            case "GET", _ if comment:
                return 200, _page_of_comments(self.comments[comment[1]], request.query)
            case _:
                self.violations.append(f"Jira has no {request.method} {request.path}")
                return 404, {"errorMessages": ["not found"]}

    def described(self, request: Request) -> tuple[str, str] | None:
        path = re.sub(r"/issue/[A-Z0-9]+-\d+", "/issue/{issueIdOrKey}", request.path)
        return None if path.endswith("/search/jql") else ("jira-cloud-v3", path)

    def _too_long(self, field: str) -> tuple[int, Any]:
        self.violations.append(f"{field} is too long")
        return 400, {"errorMessages": [], "errors": {field: "The entered text is too long."}}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.violations += body_faults("jira-cloud-v3", "/rest/api/3/issue", "post", body)
        fields = body["fields"]
        if not isinstance(fields["description"], dict):
            self.violations.append("a description in v3 is a document")
        if text_length(fields["summary"]) > 255 or "\n" in fields["summary"]:
            return self._too_long("summary")
        if document_length(fields["description"]) > MAX_TEXT:
            return self._too_long("description")
        if any(len(label) > 255 for label in fields["labels"]):
            return self._too_long("labels")
        if any(" " in label for label in fields["labels"]):
            self.violations.append("a label has no spaces")
        if any(set(fields["labels"]) == set(one["labels"]) for one in list(self.issues.values())):
            self.violations.append(f"a second ticket for {fields['labels']}")
        if self.without_due_date and "duedate" in fields:
            text = "Field 'duedate' cannot be set. It is not on the appropriate screen, or unknown."
            return 400, {"errorMessages": [], "errors": {"duedate": text}}
        key = f"{fields['project']['key']}-{len(self.issues) + 1}"
        self.issues[key] = fields
        self.comments[key] = []
        return 201, {
            "id": str(10_000 + len(self.issues)),
            "key": key,
            "self": f"{self.base_url}/rest/api/3/issue/{key}",
        }
