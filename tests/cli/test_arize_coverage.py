"""``tocsin arize coverage`` and ``draft`` against a tenant, with its faults."""

import pytest

from tests.cli.connect_harness import ConnectHarness
from tests.cli.harness import tocsin


def test_coverage_shows_what_each_monitor_would_do(commands: ConnectHarness) -> None:
    rows = {row["name"]: row for row in commands.json("coverage")["monitors"]}
    assert {name: (row["tier"], row["rule"], row["metric"]) for name, row in rows.items()} == {
        "slow answers": ("critical", "latency-slo-breach", "p95_latency_ms"),
        "failures": ("critical", "error-rate-breach", "error_rate"),
        "latency band": ("critical", "latency-slo-breach", "p95_latency_ms"),
        "latency without probes": ("critical", "latency-slo-breach", "p95_latency_ms"),
        "embedding drift": ("high", "embedding-drift", "embedding_drift"),
        "relevance": ("low", "otherwise", "answer_relevance"),
        "PSI employment": ("low", "moderate-drift", "feature_drift"),
        "PSI topic": ("low", "staging-drift", "feature_drift"),
    }
    slow = rows["slow answers"]
    assert (slow["value"], slow["notified"]) == (5050, ["ai-primary", "ai-secondary", "managers"])
    assert rows["PSI employment"]["regulated"]
    assert "compliance" in rows["PSI employment"]["notified"]
    assert any("high by quality-drop needs" in hint for hint in rows["relevance"]["hints"])
    assert all(row["gaps"] == ["unnotified"] for row in rows.values())


def test_table_is_plain_in_a_pipe(commands: ConnectHarness) -> None:
    result = commands.run("coverage")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    header = next(line for line in result.stdout.splitlines() if line.startswith("TIER"))
    assert header.split() == ["TIER", "RULE", "NOTIFIES", "GAPS", "MEASURES", "MODEL", "MONITOR"]
    rows = [line.split("  ") for line in result.stdout.splitlines() if "slow answers" in line and "latency_ms" in line]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        [
            "critical",
            "latency-slo-breach",
            "ai-primary +2",
            "unnotified",
            "p95_latency_ms",
            "support-chatbot",
            "slow answers",
        ]
    ]
    assert "8 monitors: 4 critical, 1 high, 3 low; gaps: 8 unnotified" in result.stdout


def test_fail_on_sets_the_exit_code(commands: ConnectHarness) -> None:
    assert commands.run("coverage", "--fail-on", "unmapped,undescribed,never-evaluated,disabled").exit_code == 0
    assert commands.run("coverage", "--fail-on", "unmapped", "--fail-on", "unnotified").exit_code == 1
    unknown = commands.run("coverage", "--fail-on", "unmaped")
    assert (unknown.exit_code, "the gaps are unmapped, undescribed" in unknown.stderr) == (2, True)
    webhook = commands.tenant.add_webhook(commands.gateway.webhook_url)
    for monitor in commands.tenant.state.monitors.oldest():
        commands.tenant.attach_webhook(monitor["id"], webhook["id"])
    assert commands.run("coverage", "--fail-on", "unnotified").exit_code == 0
    commands.tenant.add_monitor(
        project="support-chatbot", name="new", dimension={"category": "SPAN_ATTRIBUTE", "name": "my gauge"}
    )
    assert commands.run("coverage", "--fail-on", "unmapped").exit_code == 1
    assert commands.run("coverage", "--fail-on", "never-evaluated").exit_code == 1


def test_scope_chooses_monitors(commands: ConnectHarness) -> None:
    names = [row["name"] for row in commands.json("coverage", "--project", "Docs-Assistant")["monitors"]]
    assert names == ["embedding drift", "relevance"]
    unknown = commands.run("coverage", "--project", "nope")
    assert (unknown.exit_code, "support-chatbot (" in unknown.stderr) == (2, True)


def test_refused_graphql_is_reported_as_undescribed(commands: ConnectHarness) -> None:
    commands.tenant.graphql.permission_denied()
    rows = {row["name"]: row for row in commands.json("coverage")["monitors"]}
    assert "undescribed" in rows["failures"]["gaps"]
    assert "undescribed" in rows["relevance"]["gaps"]
    assert "undescribed" not in rows["slow answers"]["gaps"]
    assert any("permission denied" in hint for hint in rows["failures"]["hints"])
    assert commands.run("coverage", "--fail-on", "undescribed").exit_code == 1


def test_rate_limit_is_waited_for(commands: ConnectHarness) -> None:
    commands.tenant.graphql.rate_limited(0.3, times=1)
    rows = commands.json("coverage")["monitors"]
    assert not any("undescribed" in row["gaps"] for row in rows)


@pytest.mark.parametrize("fault", ["unauthorized", "outage", "wrong_json"])
@pytest.mark.parametrize("command", ["coverage", "draft"])
def test_fault_of_arize_ends_the_command(commands: ConnectHarness, command: str, fault: str) -> None:
    getattr(commands.tenant.rest, fault)()
    result = commands.run(command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("tocsin: Arize")
    assert list(commands.cli.folder.glob("policy-draft/*")) == []


def test_hostile_names_write_nothing_to_the_terminal(commands: ConnectHarness) -> None:
    commands.tenant.add_monitor(project="support-chatbot", name="x\x1b[2J\u202e", notes="[red]")
    for command in ("coverage", "draft"):
        shown = commands.run(command).output
        assert "\x1b" not in shown
        assert "\u202e" not in shown


# ── Drafting ────────────────────────────────────────────────────────────────────────────────────────────────


def test_draft_passes_check_tests_and_coverage(commands: ConnectHarness) -> None:
    commands.tenant.add_custom_metric(
        "Zeal", "SELECT 1 FROM model", project_id=commands.tenant.project("search")["id"], id="Q1"
    )
    commands.tenant.add_monitor(project="search", name="zeal", type="CUSTOM_METRIC", custom_metric_id="Q1")
    result = commands.run("draft")
    assert result.exit_code == 0, result.output
    assert "9 monitors: 4 critical" in result.stdout
    assert "gaps: 9 unnotified" in result.stdout, "as coverage says it"
    commands.cli.group = "policy"
    assert commands.run("check", "policy-draft/tocsin.yaml").exit_code == 0
    tested = commands.run("test", "--policy", "policy-draft/tocsin.yaml")
    assert (tested.exit_code, "10 passed" in tested.stdout) == (0, True), tested.output
    commands.cli.group = "arize"
    covered = commands.run("coverage", "--policy", "policy-draft/tocsin.yaml", "--fail-on", "unmapped,undescribed")
    assert covered.exit_code == 0, covered.output
    text = (commands.cli.folder / "policy-draft" / "tocsin.yaml").read_text()
    assert "zeal: {names: [Zeal], better: lower}   # in Arize: SELECT 1 FROM model" in text
    assert (
        "support-chatbot: {slo: {error_rate: 0.05, p95_latency_ms: 5000}, arize: {projects: [support-chatbot," in text
    )


def test_draft_overwrites_only_with_force(commands: ConnectHarness) -> None:
    file = commands.cli.write("mine/tocsin.yaml", "version: 1\n")
    refused = commands.run("draft", "mine")
    assert (refused.exit_code, "mine/tocsin.yaml exists" in refused.stderr) == (2, True)
    assert file.read_text() == "version: 1\n"
    assert not (file.parent / "tests").exists()
    assert commands.run("draft", "mine", "--force").exit_code == 0
    assert "rules:" in file.read_text()


def test_draft_without_graphql_still_covers_every_monitor(commands: ConnectHarness) -> None:
    commands.tenant.graphql.permission_denied()
    result = commands.run("draft")
    assert result.exit_code == 0, result.output
    assert "failures: Arize did not answer" in result.stdout
    assert "0 unmapped" not in result.stdout
    assert "unmapped" not in result.stdout


def test_draft_of_an_empty_tenant_is_refused(commands: ConnectHarness) -> None:
    for monitor in commands.tenant.state.monitors.oldest():
        commands.tenant.state.monitors.remove(monitor["id"])
    result = commands.run("draft")
    assert (result.exit_code, "there is nothing to draft from" in result.stderr) == (1, True)


def test_help_lists_the_commands() -> None:
    listed = tocsin("arize", "--help", environment={})
    assert listed.returncode == 0
    for command in ("connect", "doctor", "coverage", "draft"):
        assert command in listed.stdout
