"""Output in a pipe, at 80 columns and without colour; and as JSON."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit import NOT_SHOWN, AuditLog, NewRecord
from tests.cli.harness import REPOSITORY, TOKEN, TRIGGERED, GatewayStandIn, gateway, tocsin
from tests.policy.policies import BASE, RULES

LONG_ID = "incident-contract-retriever-of-the-legal-department-eu-3f9a2c71d0ab"
SHORT_ID = "incident-chatbot-0123456789ab"
TEMPORAL_URL = f"https://temporal.example/namespaces/default/workflows/{LONG_ID}/{'0' * 32}/timeline"
RUNBOOK = "https://runbooks.example/models/chatbot/errors/a-very-long-address-that-does-not-fit-into-eighty-columns"


def incident(name: str, state: str, **changes: Any) -> dict[str, Any]:
    """An incident as the API answers it."""
    return {
        "id": name,
        "first_run_id": "0" * 32,
        "state": state,
        "tier": "critical",
        "rule": "errors",
        "model": "chatbot",
        "environment": "production",
        "team": "support",
        "regulated": False,
        "closed_by": "",
        "escalation_level": 1,
        "alert_count": 3,
        "cleared": False,
        "acknowledged_by": "",
        "acknowledged_at": None,
        "resolved_by": "",
        "opened_at": "2026-11-24T03:00:00Z",
        "closed_at": None,
        "headline": "CRITICAL chatbot error_rate 31 % (limit 5 %) in production, region eu-west-1",
        "next_action": "Escalate to step 2 (chat) unless acknowledged, at 2026-11-24 03:15:00 UTC",
        "alert": {"url": "https://app.arize.com/monitors/1"},
        "decision": {"reason": 'alert.metric = "error_rate", alert.value = 0.31', "steps": [{}]},
        "receipts": [],
        "timeline": [
            {"at": "2026-11-24T03:00:00Z", "event": "received", "by": "tocsin", "text": "errors is triggered"},
            {"at": "2026-11-24T03:00:01Z", "event": "update_sent_note", "by": "tocsin", "text": f"chat: {RUNBOOK}"},
        ],
        "temporal_url": TEMPORAL_URL,
        "partial": False,
        **changes,
    }


INCIDENTS = (
    incident(LONG_ID, "acknowledged", acknowledged_by="bob"),
    incident(SHORT_ID, "closed", acknowledged_by="bob", resolved_by="ann"),
    incident("incident-chatbot-0123456789ff", "notified", acknowledged_by="bob"),
)


@pytest.fixture
def stand_in() -> Iterator[GatewayStandIn]:
    with gateway(*INCIDENTS) as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path, stand_in: GatewayStandIn) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")}
    (tmp_path / "policy.yaml").write_text(BASE + RULES.replace("owner: alice,", f"owner: alice, runbook: '{RUNBOOK}',"))
    (tmp_path / "alert.json").write_text(json.dumps(TRIGGERED))
    return {
        **kept,
        "TOCSIN_STATE_DIR": str(tmp_path / "state"),
        "TOCSIN_POLICY": str(tmp_path / "policy.yaml"),
        "TOCSIN_PUBLIC_URL": stand_in.url,
        "TOCSIN_TOKEN": TOKEN,
        "COLUMNS": "80",
    }


def printed(*command: str, environment: Mapping[str, str]) -> str:
    done = tocsin(*command, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    return done.stdout


def on_terminal(*command: str, environment: Mapping[str, str]) -> str:
    """What a command prints if its output is a terminal."""
    parent, child = pty.openpty()
    arguments = [sys.executable, "-m", "cli.main", *command]
    variables = {**environment, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}
    process = subprocess.Popen(arguments, env=variables, cwd=REPOSITORY, stdout=child, stderr=child)
    os.close(child)
    output = b""
    try:
        while chunk := os.read(parent, 4096):
            output += chunk
    except OSError:  # Linux reports the end of a terminal so
        pass
    os.close(parent)
    assert process.wait(120) == 0, output
    return output.decode()


def test_incident_list_at_80_columns(environment: Mapping[str, str]) -> None:
    assert printed("incidents", "list", environment=environment) == (
        "INCIDENT                                                             TIER      OPENED (UTC)         STATE\n"
        "    HEADLINE\n"
        f"{LONG_ID}  critical  2026-11-24 03:00:00  acknowledged by bob\n"
        "    CRITICAL chatbot error_rate 31 % (limit 5 %) in production, region eu-west-1\n"
        f"{SHORT_ID}                                        critical  2026-11-24 03:00:00  closed by ann\n"
        "    CRITICAL chatbot error_rate 31 % (limit 5 %) in production, region eu-west-1\n"
        "incident-chatbot-0123456789ff                                        critical  2026-11-24 03:00:00  notified\n"
        "    CRITICAL chatbot error_rate 31 % (limit 5 %) in production, region eu-west-1\n"
    )


def test_incident_list_in_pipe_has_one_line_each(environment: Mapping[str, str]) -> None:
    unlimited = {key: value for key, value in environment.items() if key != "COLUMNS"}
    lines = printed("incidents", "list", environment=unlimited).splitlines()
    assert [line.split()[0] for line in lines] == ["INCIDENT", *(one["id"] for one in INCIDENTS)]
    assert all(line.endswith("region eu-west-1") for line in lines[1:])


def test_incident_at_80_columns(environment: Mapping[str, str], stand_in: GatewayStandIn) -> None:
    headline = "CRITICAL chatbot error_rate 31 % (limit 5 %) in production, region eu-west-1, segment premium"
    stand_in.incidents[LONG_ID] = {**INCIDENTS[0], "headline": headline}
    lines = printed("incidents", "show", LONG_ID, environment=environment).splitlines()
    assert f"{lines[0]} {lines[1]}" == headline
    assert f"Incident         {LONG_ID}" in lines
    assert f"Temporal         {TEMPORAL_URL}" in lines
    assert "Acknowledged by  bob" in lines
    assert "TIME (UTC)           EVENT             BY      TEXT" in lines
    too_long = [line for line in lines if len(line) > 80 and "https://" not in line and LONG_ID not in line]
    assert too_long == []


def test_policy_explain_keeps_urls_whole(environment: Mapping[str, str], tmp_path: Path) -> None:
    text = printed("policy", "explain", str(tmp_path / "alert.json"), environment=environment)
    assert RUNBOOK in text


@pytest.mark.parametrize("command", [("config",), ("destinations", "list")], ids=" ".join)
def test_tables_at_80_columns(environment: Mapping[str, str], command: tuple[str, ...]) -> None:
    text = printed(*command, environment=environment)
    assert "…" not in text
    assert "│" not in text


REPORTS = (
    ("incidents", "list"),
    ("config",),
    ("destinations", "list"),
    ("policy", "explain", "alert.json"),
    ("policy", "test", "tests.yaml"),
    ("policy", "diff", "policy.yaml", "other.yaml", "--history", "history.jsonl"),
)


@pytest.mark.parametrize("command", REPORTS, ids=" ".join)
def test_no_line_in_a_pipe_ends_with_spaces(
    environment: Mapping[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "tests.yaml").write_text("tests:\n  - {name: wrong, alert: {monitor: m}, expect: {rule: errors}}\n")
    (tmp_path / "other.yaml").write_text(
        (tmp_path / "policy.yaml").read_text().replace("error_rate: 0.02", "error_rate: 1")
    )
    (tmp_path / "history.jsonl").write_text(json.dumps(TRIGGERED) + "\n")
    files = [str(tmp_path / part) if (tmp_path / part).exists() else part for part in command]
    output = tocsin(*files, environment={key: value for key, value in environment.items() if key != "COLUMNS"}).stdout
    lines = output.splitlines()
    assert len(lines) >= 4, output
    assert [line for line in lines if line != line.rstrip()] == []


def test_colour_on_terminals_only(environment: Mapping[str, str]) -> None:
    coloured = on_terminal("incidents", "list", environment=environment)
    assert "\x1b[31mcritical\x1b[0m" in coloured
    plain = on_terminal("incidents", "list", environment={**environment, "NO_COLOR": "1"})
    assert "\x1b" not in plain
    assert plain.replace("\r\n", "\n") == printed("incidents", "list", environment=environment)


def test_incident_actions_as_json(environment: Mapping[str, str], stand_in: GatewayStandIn) -> None:
    for command in (("show",), ("ack", "--by", "bob"), ("resolve", "--note", "x"), ("annotate", "a note")):
        name, *rest = command
        text = printed("incidents", name, LONG_ID, *rest, "--format", "json", environment=environment)
        assert json.loads(text) == INCIDENTS[0]
    sent = [(path.rpartition("/")[2], body) for method, path, body in stand_in.requests if method == "POST"]
    assert sent[0] == ("acknowledge", {"by": "bob", "note": ""})
    assert sent[1] == ("resolve", {"by": "", "note": "x"}), "the token's owner acts, not the user of this machine"
    assert sent[2] == ("annotate", {"by": "", "note": "a note"})


def test_action_on_a_name_is_for_the_opening_that_was_listed(
    environment: Mapping[str, str], stand_in: GatewayStandIn
) -> None:
    printed("incidents", "ack", "contract", environment=environment)
    assert [path for method, path, _ in stand_in.requests if method == "POST"][-1].endswith(f"?run={'0' * 32}")


def test_incident_list_is_newest_first(environment: Mapping[str, str]) -> None:
    """Temporal lists the open ones before the closed ones."""
    times = {"incident-chatbot-0123456789aa": "01", "incident-chatbot-0123456789bb": "03"}
    listed = [incident(name, "notified", opened_at=f"2026-11-24T{hour}:00:00Z") for name, hour in times.items()]
    closed = incident("incident-chatbot-0123456789cc", "closed", opened_at="2026-11-24T02:00:00Z")
    with gateway(*listed, closed) as stand_in:
        text = printed("incidents", "list", environment={**environment, "TOCSIN_PUBLIC_URL": stand_in.url})
    found = [line.split()[0][-2:] for line in text.splitlines() if line.startswith("incident-")]
    assert found == ["bb", "cc", "aa"]


def test_incident_shows_what_to_do_first(environment: Mapping[str, str]) -> None:
    """Who was paged reads it at night: the owner, the runbook, the dashboard, and whether it is over."""
    decision = {
        "reason": "x",
        "steps": [],
        "owner": "ann",
        "runbook": RUNBOOK,
        "links": {"dashboard": "https://d.example"},
    }
    one = incident(SHORT_ID, "awaiting_human", cleared=True, closed_by="compliance", decision=decision)
    with gateway(one) as stand_in:
        text = printed("incidents", "show", SHORT_ID, environment={**environment, "TOCSIN_PUBLIC_URL": stand_in.url})
    rows = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in text.splitlines()}
    assert (rows["Owner"], rows["Runbook"], rows["Dashboard"]) == ("ann", RUNBOOK, "https://d.example")
    assert rows["Monitor"] == "cleared; a person must close the incident"


def test_sent_body_is_as_large_as_its_file(environment: Mapping[str, str], tmp_path: Path) -> None:
    """Four-byte characters that are escaped are three times as large: more than a gateway accepts."""
    file = tmp_path / "emoji.json"
    file.write_text(json.dumps({"monitor_name": "x", "notes": "🧯" * 10_000}, ensure_ascii=False), encoding="utf-8")
    with gateway() as stand_in:
        asked = {**environment, "TOCSIN_PUBLIC_URL": stand_in.url, "ARIZE_WEBHOOK_SECRET": "whsec_x"}
        tocsin("send", str(file), environment=asked)
    (size,) = stand_in.sizes
    assert size < file.stat().st_size + 200


def test_spooled_drill_says_how_to_end_it(environment: Mapping[str, str]) -> None:
    with gateway() as stand_in:
        stand_in.prepared["/api/drills"] = (202, {"incident": SHORT_ID, "state": "spooled"})
        done = tocsin("drill", "errors", "--yes", environment={**environment, "TOCSIN_PUBLIC_URL": stand_in.url})
    assert done.returncode == 1
    assert f"End it then with `tocsin incidents resolve {SHORT_ID}`" in done.stderr


def test_incident_list_as_json(environment: Mapping[str, str]) -> None:
    found = json.loads(printed("incidents", "list", "--format", "json", environment=environment))
    assert [one["id"] for one in found["incidents"]] == [one["id"] for one in INCIDENTS]


def test_start_of_an_id_names_one_incident(environment: Mapping[str, str]) -> None:
    text = printed("incidents", "show", "contract", "--format", "json", environment=environment)
    assert json.loads(text)["id"] == LONG_ID
    unknown = tocsin("incidents", "show", "nothing", environment=environment)
    assert (unknown.returncode, "no incident is called nothing" in unknown.stderr) == (1, True)


def test_name_stands_for_the_only_open_incident(environment: Mapping[str, str]) -> None:
    text = printed("incidents", "show", "incident-chatbot", "--format", "json", environment=environment)
    assert json.loads(text)["state"] == "notified", "another incident of that name is closed"


def test_name_of_several_open_incidents_lists_them(environment: Mapping[str, str]) -> None:
    ambiguous = tocsin("incidents", "show", "incident-", environment=environment)
    assert ambiguous.returncode == 1
    first, *lines = ambiguous.stderr.splitlines()
    assert "fits 2 open incidents" in first
    assert [line.split()[:2] for line in lines] == [
        ["incident-chatbot-0123456789ff", "notified"],
        [LONG_ID, "acknowledged"],
    ]


def test_unknown_incident_shows_the_reasons(environment: Mapping[str, str]) -> None:
    done = tocsin("incidents", "show", "incident-x-000000000000", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["tocsin: 404 there is no incident incident-x-000000000000: it may have expired"]


def test_config_masks_secrets(environment: Mapping[str, str]) -> None:
    secrets = {
        "ARIZE_WEBHOOK_SECRET": "whsec_geheim",
        "TOCSIN_DATABASE_URL": "postgresql://tocsin:geheim@db/tocsin",
        "TOCSIN_TOKEN": "geheim",
    }
    asked = {**environment, **secrets}
    text = printed("config", environment=asked)
    assert "geheim" not in text
    assert re.search(r"^\*  ARIZE_WEBHOOK_SECRET +\*\*\*\*$", text, re.MULTILINE)
    assert re.search(r"^   TOCSIN_PORT +8080$", text, re.MULTILINE)
    assert "TOCSIN_PORT" not in printed("config", "--set", environment=asked)
    found = {one["name"]: one for one in json.loads(printed("config", "--format", "json", environment=asked))}
    assert "geheim" not in str(found)
    assert found["TOCSIN_TOKEN"]["value"] == "****"
    assert (found["TOCSIN_TOKEN"]["is_default"], found["TOCSIN_PORT"]["is_default"]) == (False, True)
    assert found["TOCSIN_PORT"]["value"] == "8080"


def test_audit_log_as_json(environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    log = AuditLog(f"sqlite:///{tmp_path}/state/audit.db")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    log.append([[NewRecord("incident-a", "run", str(n), now, "received", "tocsin", f"text {n}", {}) for n in range(2)]])
    log.close()
    shown = json.loads(printed("audit", "show", "incident-a", "--format", "json", environment=environment))
    assert [record["text"] for record in shown] == ["text 0", "text 1"]
    verified = json.loads(printed("audit", "verify", "--format", "json", environment=environment))
    assert verified == {
        "intact": True,
        "records": 2,
        "incidents": 1,
        "last_hash": shown[-1]["hash"],
        "faults": [],
        "scope": "log",
        "expected": [],
        "missing": [],
        "policies": {"number": 0, "faults": []},
        "not_shown": list(NOT_SHOWN),
    }
    text = printed("audit", "show", "incident-a", environment=environment)
    assert text.splitlines()[1].split()[:4] == ["1", "2026-11-24", "00:00:00.000", "received"]
    export = tmp_path / "export.jsonl"
    printed("audit", "export", str(export), environment=environment)
    export.write_text(export.read_text().replace("text 1", "text I"))
    edited = tocsin("audit", "verify", str(export), "--format", "json", environment=environment)
    assert edited.returncode == 1
    found = json.loads(edited.stdout)
    assert (found["intact"], [fault["number"] for fault in found["faults"]]) == (False, [2])


def test_health_as_json(environment: Mapping[str, str], stand_in: GatewayStandIn) -> None:
    port = stand_in.url.rpartition(":")[2]
    asked = {**environment, "TOCSIN_PORT": port, "HTTP_PROXY": "http://127.0.0.1:9"}
    done = tocsin("health", "gateway", "--format", "json", environment=asked)
    found = json.loads(done.stdout)
    fault = f"{stand_in.url} answers 401"
    assert (done.returncode, found) == (1, {"role": "gateway", "healthy": False, "fault": fault})


def test_list_that_may_be_incomplete_says_so(environment: Mapping[str, str]) -> None:
    cut = tocsin("incidents", "list", "--limit", "1", environment=environment)
    whole = tocsin("incidents", "list", environment=environment)
    assert "the newest 1; there may be more" in cut.stderr
    assert whole.stderr == ""


def test_list_reads_as_many_pages_as_it_takes() -> None:
    many = [incident(f"incident-chatbot-{number:012x}", "closed") for number in range(450)]
    with gateway(*many, incident("incident-old-model-0123456789ab", "notified", model="old-model")) as running:
        environment = {"TOCSIN_PUBLIC_URL": running.url, "TOCSIN_TOKEN": TOKEN}
        cut = tocsin("incidents", "list", "--limit", "430", "--format", "json", environment=environment)
        whole = tocsin("incidents", "list", "--limit", "1000", environment=environment)
        shown = tocsin("incidents", "show", "old-model", environment=environment)
    assert [one["id"] for one in json.loads(cut.stdout)["incidents"]] == [one["id"] for one in many[:430]]
    assert len(whole.stdout.splitlines()) == 452
    assert whole.stderr == ""
    assert "incident-old-model-0123456789ab" in shown.stdout, shown.stderr  # older than the newest 200


def test_incident_without_a_worker_says_what_is_missing() -> None:
    with gateway(incident(SHORT_ID, "notified", partial=True, timeline=[])) as running:
        shown = tocsin(
            "incidents", "show", SHORT_ID, environment={"TOCSIN_PUBLIC_URL": running.url, "TOCSIN_TOKEN": TOKEN}
        )
    assert "no worker answers" in shown.stderr
