"""``tocsin arize drift`` and ``tocsin arize import``: what is in Arize, and who made it so."""

import json

from tests.cli.arize_harness import ONE, ArizeHarness
from tests.monitors.declared import ALL_KINDS
from tests.vendors.server import Fault


def test_drift_names_who_and_when_but_no_values(arize: ArizeHarness) -> None:
    arize.declare(ALL_KINDS)
    arize.bring_about()
    result = arize.run("drift")
    assert (result.exit_code, result.output) == (0, "No drift: every monitor is as it was applied.\n")
    slow, failures = arize.monitors()["slow-answers"], arize.monitors()["failures"]
    threshold = {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 9000}
    arize.tenant.edit_by_hand(slow["id"], "Bob", threshold=threshold)
    entry = arize.tenant.edit_by_hand(failures["id"], "Carol", delay_seconds=60)
    entry["variables"] = entry["variables"].replace("{", '{"password": "hunter2", ', 1)
    result = arize.run("drift")
    assert result.exit_code == 2
    assert "hunter2" not in result.output
    lines = [line.strip() for line in result.output.splitlines()]
    begin = lines.index(f"! slow-answers ({slow['id']}) was changed by hand")
    assert lines[begin + 1] == "threshold  > 5000 -> > 9000"
    assert lines[begin + 2].startswith("by bob@example.com at 20")
    assert lines[begin + 2].endswith("(patchDataQualityMonitor)")
    found = {one["key"]: one for one in json.loads(arize.run("drift", "--json").stdout)}
    assert found["failures"]["changes"][0]["who"] == "carol@example.com"
    assert found["failures"]["changes"][0]["at"] == entry["created_at"]
    assert found["failures"]["differences"] == [{"key": "delay", "before": "", "after": "1m"}]
    arize.bring_about()  # what is declared is restored
    assert arize.run("drift").exit_code == 0


def test_edited_declaration_is_no_drift(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.declare(ONE.replace("5000", "6000"))
    assert arize.run("plan").exit_code == 2
    assert arize.run("drift").exit_code == 0  # the file was edited, nobody changed Arize
    slow = arize.monitors()["slow"]
    arize.tenant.edit_by_hand(slow["id"], "Bob", delay_seconds=60)
    result = arize.run("drift")
    assert result.exit_code == 2
    assert "its declaration has changed since it was applied, too" in result.output


def test_deleted_and_undeclared_monitors_are_drift(arize: ArizeHarness) -> None:
    arize.declare(ONE + ONE.split("monitors:\n")[1].replace("slow:", "slower:"))
    arize.bring_about()
    slow, slower = arize.monitors()["slow"], arize.monitors()["slower"]
    arize.tenant.edit_by_hand(slower["id"], "Bob", delay_seconds=60)
    arize.tenant.state.monitors.remove(slow["id"])
    text = "mutation deleteMonitor($input: …) { deleteMonitor(input: $input) { monitor { id } } }"
    carol = arize.tenant.add_user("Carol", "carol@example.com")
    arize.tenant.state.log("deleteMonitor", text, json.dumps({"input": {"monitorId": slow["id"]}}), carol)
    arize.declare(ONE)
    result = arize.run("drift")
    assert result.exit_code == 2
    assert "! slow is declared, and not in Arize" in result.output
    assert "perhaps by carol@example.com at 20" in result.output
    assert f"! slower ({slower['id']}) is not declared any more, and was changed by hand" in result.output


def test_drift_without_rights_to_the_audit_log(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.tenant.edit_by_hand(arize.monitors()["slow"]["id"], "Bob", delay_seconds=60)
    refused = Fault(status=403, headers={"Content-Type": "application/json"}, body='{"status": 403}')
    arize.tenant.choose = lambda request: refused if request.path == "/v2/audit-logs" else None
    result = arize.run("drift")
    assert result.exit_code == 2
    assert "who and when is not known: Arize answered 403" in result.output


def test_import_declares_what_is_there(arize: ArizeHarness) -> None:
    arize.tenant.seed()
    arize.tenant.add_monitor(project="chatbot", name="p95 latency", notes="Text.\n\nowner:ml", tags=["a"])
    arize.tenant.add_monitor(project="chatbot", name="p95 latency")
    result = arize.run("import", "--out", "monitors/imported.yaml")
    assert result.exit_code == 0, result.output
    assert (result.exit_code, "10 monitors in monitors/imported.yaml" in result.stderr) == (0, True)
    plan = arize.plan()
    assert (plan["changes"], plan["unchanged"], len(plan["adopted"])) == ([], 10, 10)
    assert arize.run("import", "--out", "monitors/imported.yaml").exit_code == 1  # it is not overwritten
    text = (arize.folder / "monitors/imported.yaml").read_text()
    assert "  p95-latency-2:\n" in text
    (arize.folder / "monitors/imported.yaml").write_text(text.replace("    owner: ml\n", "    owner: support\n"))
    (change,) = arize.plan()["changes"]
    assert (change["action"], change["differences"]) == ("update", [["owner", "ml", "support"]])
    assert arize.apply().exit_code == 0
    assert len(arize.plan()["adopted"]) == 9  # the mark came with the first change


def test_import_leaves_out_what_it_cannot_declare(arize: ArizeHarness) -> None:
    arize.tenant.add_monitor(project="chatbot", name="another's", notes="managed-by: tocsin/team-b/x")
    arize.tenant.add_monitor(project="search", name="elsewhere")
    arize.declare(ONE)
    arize.bring_about()
    result = arize.run("import", "--project", "chatbot")
    assert result.exit_code == 0
    assert "another's): it has the mark tocsin/team-b/x" in result.stderr
    assert "elsewhere" not in result.output
    assert "  slow:\n    kind: tracing\n    model: chatbot\n" in result.stdout  # ours keeps its key, and needs no id


def test_text_of_a_monitor_cannot_write_to_the_terminal(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.tenant.edit_by_hand(arize.monitors()["slow"]["id"], "Bob", name="\x1b[2Jx\u202ey")
    for command in ("plan", "drift"):
        output = arize.run(command).output
        assert "[2Jx" in output
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_import_names_the_model_of_the_catalogue(arize: ArizeHarness) -> None:
    """A model that names its project by name and by id has one project all the same."""
    policy = (arize.folder / "policy.yaml").read_text()
    named = f"  helper: {{arize: {{projects: [SEARCH, {arize.search['id']}]}}}}\n  underwriting:"
    arize.cli.write("policy.yaml", policy.replace("  underwriting:", named))
    arize.tenant.add_monitor(project="search", name="p95")
    result = arize.run("import", "--out", "monitors/imported.yaml")
    assert result.exit_code == 0, result.output
    assert "    model: helper\n" in (arize.folder / "monitors/imported.yaml").read_text()
    assert arize.run("plan").exit_code == 0
