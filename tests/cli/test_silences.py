"""``tocsin silences``: what it asks of the gateway, and what it prints."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.harness import TOKEN, CliHarness, gateway
from tests.cli.test_intake import Answers

SILENCE = {
    "id": "s-0123456789ab",
    "matcher": 'alert.model == "chatbot"',
    "reason": "known fault",
    "by": "rosa",
    "source": "cli",
    "created_at": "2026-11-24T03:00:00Z",
    "starts_at": "2026-11-24T03:00:00Z",
    "ends_at": "2026-11-24T05:00:00Z",
    "ended_at": None,
    "ended_by": "",
}
PREVIEW: dict[str, Any] = {
    "matcher": 'alert.model == "chatbot"',
    "open_incidents": 2,
    "alerts": 40,
    "monitors": 3,
    "critical_rules": ["errors"],
    "examples": ["chatbot errors", "chatbot latency"],
    "uncounted": "",
    "confirmations": ["it matches 42: 2 open incidents, and 40 alerts of the last seven days"],
}
QUIET = {**PREVIEW, "open_incidents": 0, "alerts": 1, "critical_rules": [], "confirmations": []}
ADD = ("add", "--field", "alert.model=chatbot", "--reason", "known fault", "--for", "2h")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with gateway() as running:
        answers = Answers()
        running.answer = answers.answer
        monkeypatch.setenv("TOCSIN_GATEWAY_URL", running.url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        answers.answers["POST /api/silences/preview"] = [PREVIEW]
        answers.answers["POST /api/silences"] = [{"silence": SILENCE, "in_force": True, "preview": PREVIEW}]
        yield answers


@pytest.fixture
def desk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    return CliHarness(tmp_path, monkeypatch, "silences")


def sent(answers: Answers) -> list[Any]:
    return [body for method, path, body in answers.requests if (method, path) == ("POST", "/api/silences")]


def test_much_is_silenced_after_a_second_yes(desk: CliHarness, answers: Answers) -> None:
    ran = desk.run(*ADD, input="y\n")
    assert "it matches 42: 2 open incidents, and 40 alerts of the last seven days" in ran.output
    assert "s-0123456789ab: in force, until 2026-11-24 05:00:00 UTC" in ran.output
    assert [(one["confirm"], one["fields"], one["duration"]) for one in sent(answers)] == [
        (42, {"alert.model": "chatbot"}, "2h")
    ]


def test_nothing_is_silenced_without_it(desk: CliHarness, answers: Answers) -> None:
    ran = desk.run(*ADD, input="n\n")
    assert ran.exit_code == 1
    assert "nothing is silenced" in ran.output
    assert sent(answers) == []


def test_little_is_silenced_at_once(desk: CliHarness, answers: Answers) -> None:
    answers.answers["POST /api/silences/preview"] = [QUIET]
    desk.run(*ADD)
    assert "confirm" not in sent(answers)[0]


def test_silences_are_listed_and_expired(desk: CliHarness, answers: Answers) -> None:
    answers.answers["GET /api/silences"] = [{"silences": [SILENCE]}]
    path = f"POST /api/silences/{SILENCE['id']}/expire"
    answers.answers[path] = [{**SILENCE, "ended_at": "2026-11-24T04:00:00Z", "ended_by": "rosa"}]
    ran = desk.run("list")
    assert "s-0123456789ab  2026-11-24 03:00:00  2026-11-24 05:00:00  rosa" in ran.output
    assert "s-0123456789ab: expired by rosa" in desk.run("expire", "s-0123456789ab").output


@pytest.mark.parametrize(
    "arguments", [("preview",), ("preview", "--field", "alert.model"), ("preview", "--field", "=")]
)
def test_matcher_that_is_none(desk: CliHarness, answers: Answers, arguments: tuple[str, ...]) -> None:
    assert desk.run(*arguments).exit_code == 2
    assert answers.requests == []
