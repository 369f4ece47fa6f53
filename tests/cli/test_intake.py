"""``tocsin intake`` and ``tocsin changes``: what they ask of the gateway, and what they print."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.harness import TOKEN, CliHarness, GatewayStandIn, gateway
from tests.hostile import CONTROL, HOSTILE, INVISIBLE


def delivery(name: str, body: str = '{"detector": 1}', **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "received_at": "2026-11-24T03:00:00Z",
        "state": "quarantined",
        "shape": "0123456789abcdef",
        "shape_label": "detector",
        "reasons": ["no monitor was found"],
        "size": len(body),
        "content_type": "application/json",
        "event": "",
        "event_id": "evt-1",
        "incident": "incident-unreadable-deliveries-0123456789ab",
        "replayed": None,
        "body": body,
        "encoding": "utf-8",
        **changes,
    }


class Answers(GatewayStandIn):
    """Answers by method and path, each time the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[Any]] = {}

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, body))
        assert token == f"Bearer {TOKEN}"
        prepared = self.answers[f"{method} {path.partition('?')[0]}"]
        return 200, prepared.pop(0) if len(prepared) > 1 else prepared[0]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with gateway() as running:
        answers = Answers()
        running.answer = answers.answer  # the running server asks this one
        monkeypatch.setenv("TOCSIN_GATEWAY_URL", running.url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        yield answers


@pytest.fixture
def desk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    return CliHarness(tmp_path, monkeypatch, "intake")


def test_list_shows_waiting_deliveries(desk: CliHarness, answers: Answers) -> None:
    answers.answers["GET /api/quarantine"] = [{"deliveries": [delivery("q-1")], "waiting": 3, "next": ""}]
    ran = desk.run("list", "--shape", "0123456789abcdef")
    assert "q-1       2026-11-24 03:00:00  quarantined  0123456789abcdef  detector" in ran.output
    assert "3 deliveries wait for a replay in all." in ran.output
    assert answers.requests[0][1] == "/api/quarantine?state=quarantined&shape=0123456789abcdef&limit=50"
    desk.run("list", "--all")
    assert answers.requests[1][1] == "/api/quarantine?limit=50"


def test_empty_list(desk: CliHarness, answers: Answers) -> None:
    answers.answers["GET /api/quarantine"] = [{"deliveries": [], "waiting": 0, "next": ""}]
    assert desk.run("list").output == "Nothing is quarantined.\n"


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_show_prints_hostile_body_safely(desk: CliHarness, answers: Answers, name: str) -> None:
    text = HOSTILE[name].encode("utf-8", "replace").decode()
    for body in (text, json.dumps({text[:1000]: text})):
        answers.answers["GET /api/quarantine/q-1"] = [delivery("q-1", body, shape_label=text[:100], reasons=[text])]
        ran = desk.run("show", "q-1")
        assert ran.exit_code == 0, ran.output
        assert not set(ran.output) & (CONTROL | INVISIBLE)
        assert len(ran.output) < 1_200_000 + 3 * len(text)


def test_show_prints_what_is_no_text(desk: CliHarness, answers: Answers) -> None:
    body = base64.b64encode(b"\xff\x00").decode()
    replayed = {"at": "2026-11-24T04:00:00Z", "by": "rosa", "incident": "incident-x", "state": "started"}
    answers.answers["GET /api/quarantine/q-1"] = [delivery("q-1", body, encoding="base64", replayed=replayed)]
    output = desk.run("show", "q-1").output
    assert f"base64: {body}" in output
    assert "by rosa: incident-x (started)" in output
    assert json.loads(desk.run("show", "q-1", "--format", "json").output)["body"] == body


def test_replay_goes_through_all_pages(desk: CliHarness, answers: Answers) -> None:
    def result(name: str, outcome: str = "replayed") -> dict[str, Any]:
        return {"id": name, "outcome": outcome, "incident": f"incident-{name}", "state": "started", "reasons": []}

    answers.answers["POST /api/quarantine/replay"] = [
        {"results": [result("q-1")], "waiting": 1, "next": "7"},
        {"results": [result("q-2", "already_replayed")], "waiting": 0, "next": ""},
    ]
    ran = desk.run("replay", "--shape", "abc")
    assert ran.exit_code == 0, ran.output
    assert [body for _, _, body in answers.requests] == [{"shape": "abc"}, {"shape": "abc", "cursor": "7"}]
    assert "q-2       already replayed  incident-q-2" in ran.output


def test_replay_fails_if_a_delivery_stays_unreadable(desk: CliHarness, answers: Answers) -> None:
    result = {"id": "q-1", "outcome": "unreadable", "incident": "", "state": "", "reasons": ["no monitor"]}
    answers.answers["POST /api/quarantine/replay"] = [{"results": [result], "waiting": 1, "next": ""}]
    ran = desk.run("replay", "q-1")
    assert ran.exit_code == 1
    assert "no monitor" in ran.output
    assert "not replayed: 1 of 1" in ran.output
    assert answers.requests[0][2] == {"ids": ["q-1"]}


def test_changes_lists_by_model_and_time(desk: CliHarness, answers: Answers) -> None:
    change = {
        "id": "c",
        "kind": "deploy",
        "title": "Deploy",
        "at": "2026-11-24T03:00:00Z",
        "models": ["chatbot"],
        "services": [],
        "environment": "",
        "version": "1",
        "link": "https://ci/1",
        "by": "ann",
        "source": "changes",
    }
    answers.answers["GET /api/changes"] = [{"changes": [change]}, {"changes": []}]
    desk.group = "changes"
    ran = desk.run("--model", "chatbot", "--since", "2026-11-24T00:00", "--until", "1h")
    assert "2026-11-24 03:00:00  deploy  all          chatbot  ann  Deploy  https://ci/1" in ran.output
    asked = answers.requests[0][1]
    assert "model=chatbot" in asked
    assert "since=2026-11-24T00%3A00%3A00" in asked
    assert desk.run().output == "No changes.\n"
    invalid = desk.run("--since", "yesterday")
    assert (invalid.exit_code, "neither a time" in invalid.output) == (1, True)
