"""``tocsin policy test``: passing tests, differences, and invalid test files."""

from xml.etree import ElementTree

import pytest

from tests.cli.harness import CliHarness
from tests.policy.policies import BASE, RULES

GOOD = """\
tests:
  - name: errors page
    alert: {monitor: errors, model: chatbot, metric: error_rate, value: 0.03}
    until: 50m
    expect:
      rule: errors
      tier: critical
      notify: [pager]
      steps:
        - {at: 0s, notify: [pager]}
        - {at: 15m, notify: [chat]}
        - {at: 30m, notify: [pager]}
        - {at: 45m, notify: [pager]}
      ticket: []
      digest: []
      regulated: false
      closed_by: anyone
      incidents: 1
  - name: a drop is posted, with its priority and tags
    alert: {monitor: m, model: chatbot, value: 0.5, baseline: 1}
    until: 59m
    expect: {rule: drop, tier: high, priority: P2, tags: [b, a], respond_within: 1h, steps: [{at: 0s, notify: [chat]}]}
  - name: slow answers that clear
    alert: {monitor: m, metric: p95_latency_ms, metric_value: 9000}
    then:
      - {at: 4m, alert: {status: cleared, value: 3}}
    expect: {rule: slow, hold: 5m, state: closed, steps: []}
"""


SILENCED = """\
tests:
  - name: errors that are silenced for an hour page after it
    alert: {monitor: errors, model: chatbot, metric: error_rate, value: 0.03}
    silences: [{when: 'alert.model == "chatbot"', for: 1h}]
    until: 70m
    expect: {rule: errors, steps: [{at: 1h, notify: [pager]}]}
  - name: a silence that begins later stops the next steps
    alert: {monitor: errors, model: chatbot, metric: error_rate, value: 0.03}
    silences: [{when: 'alert.model == "chatbot"', at: 20m, for: 1h}]
    until: 30m
    expect: {rule: errors, steps: [{at: 0s, notify: [pager]}, {at: 15m, notify: [chat]}]}
"""


def test_silences_of_a_test(desk: CliHarness) -> None:
    desk.write("tests/silenced.yaml", SILENCED)
    ran = desk.run("test")
    assert "✓ errors that are silenced for an hour page after it" in ran.output, ran.output
    wrong = SILENCED.replace('alert.model == "chatbot"', 'alert.modl == "chatbot"')
    desk.write("tests/silenced.yaml", wrong)
    ran = desk.run("test")
    assert ran.exit_code == 1
    assert "tests[0].silences[0].when" in ran.output
    assert "alert.modl" in ran.output


def test_passing_tests_and_uncovered_rules(desk: CliHarness) -> None:
    desk.write("tests/good.yaml", GOOD)
    ran = desk.run("test")
    assert ran.exit_code == 0, ran.output
    assert "✓ errors page" in ran.output
    assert "Rules without a test: silent, unmapped, otherwise" in ran.output
    assert "3 passed; 3 of 6 rules covered" in ran.output
    assert desk.run("test", "--require-coverage").exit_code == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("tier: critical", "tier: high"), ["tier", "high", "critical"]),
        (("rule: errors", "rule: slow"), ["errors comes first", 'alert.metric = "error_rate"']),
        (
            ("value: 0.03", "value: 0.01"),
            ["errors needs alert.value > model.slo.error_rate (0.02), this alert has 0.01"],
        ),
        (("notify: [pager]\n      steps", "notify: [chat]\n      steps"), ["notify", "chat", "pager"]),
        (
            ("{at: 15m, notify: [chat]}", "{at: 16m, notify: [chat]}"),
            ["steps at 15m  nobody    chat", "steps at 16m  chat      nobody"],
        ),
        (("        - {at: 45m, notify: [pager]}\n", ""), ["steps at 45m  nobody    pager"]),
        (("ticket: []", "ticket: [work]"), ["ticket", "work", "none"]),
        (("digest: []", "digest: [term]"), ["digest", "term", "none"]),
        (("regulated: false", "regulated: true"), ["regulated", "true", "false"]),
        (("closed_by: anyone", "closed_by: compliance"), ["closed_by", "compliance", "anyone"]),
        (("incidents: 1", "incidents: 2"), ["incidents", "2", "1"]),
        (("priority: P2", "priority: P1"), ["priority", "P1", "P2"]),
        (("tags: [b, a]", "tags: [a]"), ["tags", "a, b"]),
        (("respond_within: 1h", "respond_within: 2h"), ["respond_within", "2h", "1h"]),
        (("hold: 5m", "hold: 6m"), ["hold", "6m", "5m"]),
        (("state: closed", "state: notified"), ["state", "notified", "closed"]),
        (("at: 4m", "at: 6m"), ["steps at 5m  nobody    pager"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_expectation_can_differ(desk: CliHarness, change: tuple[str, str], expected: list[str]) -> None:
    assert change[0] in GOOD
    desk.write("tests/bad.yaml", GOOD.replace(*change, 1))
    ran = desk.run("test")
    assert ran.exit_code == 1
    assert "1 failed, 2 passed" in ran.output
    for words in expected:
        assert words in ran.output, ran.output


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("tier: critical", "teir: critical"),
            "tests/bad.yaml:7:7: tests[0].expect.teir: unknown key: did you mean tier?",
        ),
        (
            ("rule: errors", "rule: erors"),
            "tests/bad.yaml:6:7: tests[0].expect.rule: the policy has no rule 'erors': did you mean errors?",
        ),
        (("notify: [pager]", "notify: [pagr]"), "there is no destination 'pagr': did you mean pager?"),
        (
            ("{at: 15m, notify: [chat]}", "{at: 15m, notify: [chta]}"),
            "tests[0].expect.steps[1].notify: there is no destination 'chta'",
        ),
        (
            ("metric: error_rate", "metrc: error_rate"),
            "tests/bad.yaml:3:46: tests[0].alert.metrc: is not a field of an alert: did you mean metric?",
        ),
        (("until: 50m", "until: 50"), "tests[0].until: found 50; a duration is a whole number with its unit"),
        (("alert: {monitor: errors, model: chatbot,", "alert: {"), "tests[0].alert: no monitor was found"),
        (
            ("alert: {monitor: errors, model: chatbot, metric: error_rate, value: 0.03}", "alert: none.json"),
            "none.json cannot be read",
        ),
        (
            ("{at: 4m, alert: {status: cleared, value: 3}}", "{at: 4m}"),
            "tests[2].then[0]: needs exactly one of alert, acknowledge and resolve",
        ),
        (("tests:", "test:"), "unknown key: did you mean tests?"),
        (("tests:\n", "tests: [\n"), "not YAML"),
    ],
    ids=lambda value: value[1][:30] if isinstance(value, tuple) else "",
)
def test_invalid_test_is_an_error(desk: CliHarness, change: tuple[str, str], expected: str) -> None:
    assert change[0] in GOOD
    desk.write("tests/bad.yaml", GOOD.replace(*change, 1))
    ran = desk.run("test")
    assert ran.exit_code == 1
    assert expected in ran.output, ran.output
    assert "passed" not in ran.output


def test_all_errors_of_all_files(desk: CliHarness) -> None:
    desk.write("tests/a.yaml", GOOD.replace("rule: errors", "rule: erors"))
    desk.write("tests/b.yaml", GOOD.replace("tier: high", "tier: hgih").replace("state: closed", "state: gone"))
    output = desk.run("test").output
    assert "tests/a.yaml:6:7" in output
    assert output.count("tests/b.yaml:") == 2


def test_alert_in_a_file_and_changed_later(desk: CliHarness) -> None:
    desk.write(
        "tests/alert.json",
        '{"monitor_name": "errors", "model": "chatbot", "metric": "error_rate", "metric_value": 0.03}',
    )
    desk.write(
        "tests/file.yaml",
        "tests:\n  - name: a file\n    alert: alert.json\n"
        "    then: [{at: 1m, alert: {value: 0.01, status: CLEARED}}]\n"
        "    expect: {rule: errors, state: closed}\n",
    )
    assert desk.run("test").exit_code == 0


def test_junit_xml_contains_failures(desk: CliHarness) -> None:
    desk.write("tests/mixed.yaml", GOOD.replace("tier: high", "tier: low"))
    assert desk.run("test", "--junit", "report.xml").exit_code == 1
    (suite,) = ElementTree.parse(desk.folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failed = [case for case in suite if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["a drop is posted, with its priority and tags"]
    assert "tier: expected low, got high" in (failed[0].find("failure").text or "")  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def test_no_tests_is_a_failure(desk: CliHarness) -> None:
    ran = desk.run("test")
    assert ran.exit_code == 2
    assert "there are no tests: looked for *.yaml in tests" in ran.output


def test_invalid_policy_is_a_failure(desk: CliHarness) -> None:
    desk.write("policy.yaml", "version: 2\n")
    assert desk.run("test").exit_code == 1


MAPPED = """\
intake:
  unreadable: {tier: high, notify: [pager]}
  mappings:
    - name: detector
      when: has(payload.detector)
      alert: {monitor: payload.detector, metric: '"error_rate"', value: payload.observed / 100.0, model: '"chatbot"'}
"""
BODIES = """\
tests:
  - name: a body in another format pages, and its repeat joins
    payload: {detector: refunds, observed: 31}
    then:
      - {at: 5m, payload: {detector: refunds, observed: 40}}
      - {at: 6m, acknowledge: ann}
    expect: {rule: errors, tier: critical, incidents: 1, state: acknowledged}
  - name: a file of a body
    payload: body.json
    expect: {rule: errors}
  - name: nothing reads this
    payload: [1, 2]
    until: 30m
    expect: {rule: unreadable, tier: high, notify: [pager]}
  - name: nor this file
    payload: broken.txt
    expect: {rule: unreadable}
  - name: the built-in reader
    payload: {monitor: m, model: chatbot, metric: error_rate, value: 0.03}
    expect: {rule: errors}
"""


def test_payload_is_read_by_mappings(desk: CliHarness) -> None:
    desk.write("policy.yaml", BASE + RULES + MAPPED)
    desk.write("tests/body.json", '{"detector": "from a file", "observed": 10}')
    desk.write("tests/broken.txt", "not JSON")
    desk.write("tests/bodies.yaml", BODIES)
    ran = desk.run("test")
    assert ran.exit_code == 0, ran.output
    assert "5 passed" in ran.output


@pytest.mark.parametrize(
    ("test", "error"),
    [
        ("expect: {rule: errors}", "tests[0]: needs either alert or payload"),
        ("alert: {monitor: m}\n    payload: {monitor: m}\n    expect: {}", "tests[0]: needs either alert or payload"),
        (
            "payload: {detector: x, observed: many, monitor: m}\n    expect: {rule: errors}",
            "payload: mapping detector: value: No matching overloads found : _/_(string, double); the body was read",
        ),
        ("payload: none.json\n    expect: {}", "tests[0].payload: none.json cannot be read"),
        (
            "payload: {detector: x, observed: 1}\n    then: [{at: 1m, alert: {value: 3}}]\n    expect: {}",
            "needs exactly one of payload, acknowledge and resolve",
        ),
    ],
)
def test_invalid_payload_is_explained(desk: CliHarness, test: str, error: str) -> None:
    desk.write("policy.yaml", BASE + RULES + MAPPED)
    desk.write("tests/bodies.yaml", f"tests:\n  - name: a\n    {test}\n")
    ran = desk.run("test")
    text = " ".join(ran.output.split())
    assert (ran.exit_code, error in text) == (1, True), text
