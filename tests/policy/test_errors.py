"""The errors of a policy: all at once, each with its place and a suggestion."""

import re
from pathlib import Path

import pytest
import yaml

from integrations.base.registry import destination_types
from policy import PolicyError, load_policy
from tests.policy.policies import BASE, RULES, load, problems

TEN = ",".join(["*{0}"] * 10)
BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{TEN.format(old)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
)
TWICE = "rules:\n  - {name: a, when: 'true', tier: low}\n  - {name: a, when: 'true', tier: low}\n"
TICKET_TO_CHAT = "rules:\n  - {name: a, when: 'true', tier: low, ticket: chat}\n"
CHATTY = BASE.replace("      - notify: [pager]", "      - notify: [chat]", 1).replace(
    "[pager], repeat", "[chat], repeat"
)


def test_valid_policy_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, BASE + RULES) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + "rulez: []\n", "17:1: rulez: unknown key: did you mean rules?"),
        (
            BASE + "rules:\n  - {name: a, when: 'true', teir: low}\n",
            "18:29: rules[0].teir: unknown key: did you mean tier?",
        ),
        (BASE.replace("steps:", "stepz:", 1), "9:5: tiers.critical.stepz: unknown key: did you mean steps?"),
        (BASE.replace("version: 1", "version: 2"), "1:1: version: found 2; allowed are 1"),
        (
            BASE.replace("after: 15m", "after: 15"),
            "tiers.critical.steps[1].after: found 15; a duration is a whole number with its unit",
        ),
        (
            BASE.replace("after: 30m", "after: 10m"),
            "counts from the first step, so it must be longer than that of the previous step",
        ),
        (
            BASE.replace("notify: [chat]}\n      - {after: 30m", "notify: [chta]}\n      - {after: 30m"),
            "there is no destination 'chta': did you mean chat?",
        ),
        (
            BASE.replace("type: slack", "type: slak"),
            "destinations.chat.type: there is no destination type 'slak': did you mean slack?",
        ),
        (
            BASE.replace("low: {digest: [term]}", "low: {digest: [pager]}"),
            "tiers.low.digest: 'pager' is of type pagerduty, which pages and cannot receive digests",
        ),
        (
            BASE.replace("type: console", "type: email, form: t@example.com"),
            "destinations.term.form: unknown key: did you mean from?",
        ),
        (
            BASE.replace("{env: KEY}", "abc123secret"),
            "destinations.pager.routing_key: a secret is named, never written here",
        ),
        (
            BASE.replace("{env: KEY}", "{environment: KEY}"),
            "a secret is named by either {env: NAME} or {file: PATH}",
        ),
        (
            BASE.replace('"#ops"', '"#ops", schedule: "every day"'),
            "destinations.chat.schedule: 'every day' is not a cron expression",
        ),
        (
            BASE.replace('"#ops"', '"#ops", timezone: Berlin'),
            "'Berlin' is not a time zone: did you mean Europe/Berlin?",
        ),
        (CHATTY, "a critical incident would page nobody"),
        (
            BASE.replace("low: {digest: [term]}", "low: {}"),
            "tiers.low: this tier notifies nobody: give it steps or a digest",
        ),
        (
            BASE.replace("fallback: [term]", "fallback: [work]"),
            "'work' is of type jira: name it under ticket, not here",
        ),
        (BASE + TICKET_TO_CHAT, "'chat' is of type slack, which cannot open tickets"),
        (BASE + TWICE, "19:6: rules[1].name: another rule has the name 'a'"),
        (
            BASE + "rules:\n  - {name: a, when: 'true', tier: urgent}\n",
            "18:29: rules[0].tier: found 'urgent'; allowed are critical, high, low",
        ),
        (
            BASE + "rules:\n  - {name: a, when: 'true', tier: high, notify: []}\n",
            "this notifies nobody and opens no ticket",
        ),
        (
            BASE + "governance: {closed_by: boss}\n",
            "governance.closed_by: found 'boss'; allowed are admin, compliance, responder",
        ),
        ("a: [", "not YAML"),
        ("", "the file is empty"),
        ("- a\n", "a policy is a map of sections"),
        ("version: 1\nversion: 1\n", "2:1: not YAML: the key 'version' stands here twice"),
        (BOMB, "anchors and aliases expand it"),
        ("a: &a [*a]\n", "an anchor contains itself"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
    ],
    ids=lambda value: None,
)
def test_error_states_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("condition", "column", "expected"),
    [
        ("alert.metrik == 'x'", 1, "alert.metrik is unknown: did you mean metric?"),
        ("alrt.metric == 'x'", 1, "'alrt' is unknown: did you mean alert?"),
        ("model.tier == 'x'", 1, "model.tier is unknown"),
        ("model.slo.eror_rate > 1.0", 6, "model.slo.eror_rate is not set for any model: did you mean error_rate?"),
        ("incident.alert > 3", 1, "incident.alert is unknown: did you mean alerts?"),
        ("alert.metric.beginsWith('x')", 24, "the function 'beginsWith' is unknown"),
        ("alert.metric ==", 16, "Syntax error: the condition ends where more is expected"),
        ("alert.metric", 6, "a condition must be true or false; this is text"),
        ("alert.value > 1.0 && alert.metric > 3", 35, "alert.metric is text and 3 is a whole number: they cannot"),
        ("alert.value * 2 > 1.0", 15, "write 2.0: CEL does not multiply whole and other numbers"),
        ("alert.segment['a'] == 3", 20, 'alert.segment["a"] is text and 3 is a whole number'),
        ("alert.metric in ['a', 3]", 23, "alert.metric is text and 3 is a whole number"),
        ("alert.value && true", 6, "alert.value is a number; it must be true or false here"),
        ("alert.value.matches('x')", 20, "matches needs text; alert.value is a number"),
        ("alert.metric.unit == 'x'", 6, "alert.metric is text and has no field 'unit'"),
        ("alert.segment > 3.0", 15, "alert.segment is a map of texts and 3.0 is a number"),
        ("alert.kind == 'drfit'", 15, "'drfit' is not a kind of alert: did you mean drift?"),
        ("alert.status == 'fired'", 17, "alert.status is never 'fired'"),
        ("model.team == 'suport'", 15, "no model of the catalogue has the team 'suport': did you mean support?"),
        ("alert.model == 'chatbott'", 16, "the catalogue has no model 'chatbott': did you mean chatbot?"),
        ("(" * 40 + "true" + ")" * 40, 1, "is nested deeper than 32 levels"),
    ],
)
@pytest.mark.parametrize("style", ["'", '"', "", ">", "|"])
def test_condition_error_points_into_its_text(
    tmp_path: Path, condition: str, column: int, expected: str, style: str
) -> None:
    """Whatever YAML style the condition is written in."""
    condition = condition.replace("'", '"') if style == "'" else condition
    written, line, start = {
        "'": (f"'{condition}'", 20, 12),
        '"': (f'"{condition}"', 20, 12),
        "": (condition, 20, 11),
    }.get(style, (f"{style}\n      {condition}", 21, 7))
    rules = f"rules:\n  - name: a\n    tier: low\n    when: {written}\n"
    models = "models: {defaults: {slo: {error_rate: 1}}, chatbot: {team: support}}\n"
    found = problems(tmp_path, BASE.rstrip("\n") + "\n" + rules + models)
    assert len(found) == 1, found
    assert found[0].startswith(f"{line}:{start + column - 1}: rules[0].when: "), found
    assert expected in found[0], found


def test_multiline_condition_error_points_into_its_text(tmp_path: Path) -> None:
    rules = "rules:\n  - name: a\n    tier: low\n    when: >\n      alert.value > 1.0 &&\n      alert.metrik == 'x'\n"
    (found,) = problems(tmp_path, BASE + rules)
    assert found.startswith("22:7: rules[0].when: alert.metrik is unknown")
    escaped = 'rules:\n  - {name: a, tier: low, when: "alert.metric == \\"x\\" && alert.metrik == 1"}\n'
    (found,) = problems(tmp_path, BASE + escaped)
    assert found.startswith("18:26: rules[0].when: alert.metrik is unknown")
    assert found.endswith("(at character 24 of it)")


def test_all_errors_of_one_condition(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, tier: low, when: alert.metrik == 'x' && alert.valeu > 1.0 && now == 'x'}\n"
    found = problems(tmp_path, BASE + rules)
    assert [problem.split(":")[1] for problem in found] == ["32", "55", "80"]


def test_all_errors_of_one_file(tmp_path: Path) -> None:
    text = BASE.replace("after: 15m", "after: 15").replace("type: slack", "type: slak") + "nois: {}\n"
    found = problems(tmp_path, text)
    assert len(found) == 3
    assert [int(problem.split(":")[0]) for problem in found] == sorted(int(problem.split(":")[0]) for problem in found)


NOT_YET_BUILT = frozenset(
    {
        "models.*.context",
        *("governance.serious_incident", "governance.evidence", "governance.keep"),
        *("access", "context", "watches", "remedies"),
    }
)
"""Keys of the contract that have no behaviour yet, so that the schema does not know them."""


def test_contract_errors_are_only_unbuilt_keys(tmp_path: Path) -> None:
    contract = Path(__file__).resolve().parents[3] / "shared" / "policy.example.yaml"
    if not contract.exists():
        pytest.skip("the contract is not beside this checkout")
    with pytest.raises(PolicyError) as rejected:
        load_policy(contract, destination_types())
    errors = [problem for problem in rejected.value.problems if problem.severity == "error"]
    assert [str(error) for error in errors if not error.message.startswith("unknown key")] == []
    unknown = {re.sub(r"^models\.[^.]+", "models.*", re.sub(r"\[\d+\]", "[]", error.path)) for error in errors}
    assert unknown == NOT_YET_BUILT
    content = yaml.safe_load(contract.read_text(encoding="utf-8"))
    for error in errors:
        *parents, key = re.findall(r"[^.\[\]]+", error.path)
        place = content
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        del place[key]
    policy = load(tmp_path, yaml.safe_dump(content, sort_keys=False))
    assert len(policy.rules) == len(content["rules"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "noise: {quiet: [x]}\n",
            "17:9: noise.quiet: unknown key; allowed are flapping, group_by, group_window, maintenance,",
        ),
        ("governance: {evidences: [term]}\n", "17:14: governance.evidences: unknown key"),
    ],
)
def test_keys_without_behaviour_are_unknown(tmp_path: Path, text: str, error: str) -> None:
    (found,) = problems(tmp_path, BASE + text)
    assert found.startswith(error)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("escalaton: [{notify: [pager]}]", "tiers.critical.escalaton: unknown key: did you mean steps?"),
        ("reminder: 4h", "tiers.critical.reminder: unknown key: did you mean remind?"),
        ("falback: [term]", "tiers.critical.falback: unknown key: did you mean fallback?"),
    ],
)
def test_key_of_another_tool_is_suggested(tmp_path: Path, written: str, meant: str) -> None:
    found = problems(tmp_path, BASE.replace("    remind: 4h", f"    {written}"))
    assert any(meant in problem for problem in found), found


@pytest.mark.parametrize(
    "written",
    [
        'base_url: "https://user:pa55word@slack.example.com"',
        "mention: xoxb-1234567890-abcdef",
        "mention: Bearer abcdef123456",
        "mention: 0123456789abcdef0123456789abcdef",
    ],
)
def test_written_secret_is_rejected_and_not_repeated(tmp_path: Path, written: str) -> None:
    found = problems(tmp_path, BASE.replace('channel: "#ops"', f'channel: "#ops", {written}'))
    assert any("a secret is named, never written" in problem for problem in found), found
    assert written.split(": ", 1)[1].strip('"') not in "\n".join(found)


def test_missing_secret_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(BASE)
    policy = load_policy(file, destination_types(), {"KEY": "x", "SLACK": "", "U": "u"})
    assert [str(warning) for warning in policy.warnings] == [
        "policy.yaml:4:24: warning: destinations.chat.token: SLACK is not set here",
        "policy.yaml:5:79: warning: destinations.work.token: T is not set here",
    ]
    assert load_policy(file, destination_types()).warnings == ()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["true", "alert.value > 1.0"], {1: "can never decide: rule r0 always matches first"}),
        (["alert.value > 1.0", "alert.value > 2"], {1: "can never decide: rule r0 always matches first"}),
        (["alert.value > 2.0", "alert.value > 1.0"], {}),
        (["alert.value >= 1.0", "alert.value > 1.0"], {1: "can never decide: rule r0 always matches first"}),
        (["alert.value > 1.0", "alert.value >= 1.0"], {}),
        (["alert.metric == 'a'", "alert.metric == 'a' && alert.value > 1.0"], {1: "rule r0 always matches first"}),
        (["alert.metric == 'a' && alert.value > 1.0", "alert.metric == 'a'"], {}),
        (["alert.metric in ['a', 'b']", "alert.metric == 'b' && model.regulated"], {1: "rule r0 always matches first"}),
        (
            ["alert.metric == 'a'", "alert.metric == 'b'", "alert.metric in ['a', 'b']"],
            {2: "can never decide: rules r0 and r1 always match first"},
        ),
        (["alert.metric == 'a'", "alert.metric in ['a', 'b']"], {}),
        (["alert.metric == 'a' || alert.value > 1.0", "alert.value > 3.0"], {1: "rule r0 always matches first"}),
        (["!(alert.value <= 1.0)", "alert.value > 1.0"], {1: "rule r0 always matches first"}),
        (["alert.value > model.slo.error_rate", "model.slo.error_rate < alert.value"], {1: "rule r0 always"}),
        (["model.regulated", "model.regulated == true && alert.value > 1.0"], {1: "rule r0 always matches first"}),
        (["model.regulated", "!model.regulated"], {}),
        (["alert.metric != 'a'", "alert.metric == 'b'"], {1: "rule r0 always matches first"}),
        (["alert.metric != 'a'", "alert.metric == 'a'"], {}),
        (["alert.value > 1.0 && alert.value < 1.0"], {0: "can never match: it contradicts itself"}),
        (["alert.metric == 'a' && alert.metric == 'b'"], {0: "can never match: it contradicts itself"}),
        (["model.regulated && !model.regulated"], {0: "can never match: it contradicts itself"}),
        (["false"], {0: "can never match: it contradicts itself"}),
        # An alert without a change skips the first rule, and the second decides.
        (["alert.change > 0.3 || alert.change <= 0.3", "alert.value > 1.0"], {}),
    ],
)
def test_unreachable_rule_is_an_error(tmp_path: Path, rules: list[str], expected: dict[int, str]) -> None:
    text = "models: {defaults: {slo: {error_rate: 0.05}}}\nrules:\n" + "".join(
        f'  - {{name: r{index}, tier: low, when: "{rule}"}}\n' for index, rule in enumerate(rules)
    )
    found = problems(tmp_path, BASE + text)
    assert len(found) == len(expected), found
    for problem, (index, words) in zip(found, expected.items(), strict=True):
        assert f"rules[{index}].when: " in problem
        assert words in problem


def test_owner_without_destination_is_a_warning(tmp_path: Path) -> None:
    models = "models: {chatbot: {owner: alice}, other: {owner: chat}}\n"
    rules = "rules:\n  - {name: a, when: 'alert.value > 1.0', tier: high, notify_owner: true}\n"
    (warning,) = load(tmp_path, BASE + models + rules).warnings
    assert (
        "models.chatbot.owner: 'alice' is not a destination: a notifies no owner, only names them in messages"
        in str(warning)
    )
    assert load(tmp_path, BASE + models).warnings == ()


def test_unknown_model_in_condition_is_a_warning(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, when: 'alert.model == \"weather\"', tier: low}\n"
    (warning,) = load(tmp_path, BASE + "models: {chatbot: {}}\n" + rules).warnings
    assert str(warning).endswith("warning: rules[0].when: the catalogue has no model 'weather'")


def test_folder_of_files_is_one_policy(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(BASE)
    (tmp_path / "p" / "b.yaml").write_text(RULES)
    assert len(load_policy(tmp_path / "p", destination_types()).rules) == 4
    (tmp_path / "p" / "c.yaml").write_text("rules: []\n")
    with pytest.raises(PolicyError, match=r"c\.yaml:1:1: rules: is already in b\.yaml"):
        load_policy(tmp_path / "p", destination_types())


def test_missing_too_large_or_undecodable_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml", destination_types())
    assert "at most 1,048,576 are read" in problems(tmp_path, "#" * 1_048_577)[0]
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\nx: \xff\n")
    with pytest.raises(PolicyError, match=r"latin\.yaml:2:1: the file is not UTF-8"):
        load_policy(tmp_path / "latin.yaml", destination_types())


def test_digest_identifies_the_content(tmp_path: Path) -> None:
    one = load(tmp_path, BASE)
    assert load(tmp_path, BASE).digest == one.digest
    assert load(tmp_path, BASE + "# more\n").digest != one.digest


def test_destination_that_is_its_own_fallback_is_a_warning(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, BASE.replace("fallback: [term]", "fallback: [pager]") + RULES).warnings
    assert "warning: tiers.critical.fallback: 'pager' is its own fallback" in str(warning)


@pytest.mark.parametrize(
    ("condition", "models", "warned"),
    [
        ("alert.value > model.slo.wait", "a: {slo: {wait: 3}}, b: {}", "an alert of b or a model that is not listed"),
        ("alert.value > model.slo.wait", "a: {slo: {wait: 3}}", "an alert of a model that is not listed"),
        ("alert.value > model.slo.wait", "a: {}, b: {}, c: {}, d: {}, e: {slo: {wait: 3}}", "of a, b, c, 1 more or a"),
        ("alert.value > model.slo.wait", "defaults: {slo: {wait: 3}}, b: {}", ""),
        ("has(model.slo.wait) && alert.value > model.slo.wait", "a: {slo: {wait: 3}}, b: {}", ""),
        ('model.team == "x" && alert.value > model.slo.wait', "a: {team: x, slo: {wait: 3}}, b: {}", ""),
        ('alert.model == "a" && alert.value > model.slo.wait', "a: {slo: {wait: 3}}, b: {}", ""),
        ('alert.model in ["a"] && alert.value > model.slo.wait', "a: {slo: {wait: 3}}, b: {}", ""),
        ("!model.regulated && alert.value > model.slo.wait", "a: {slo: {wait: 3}}, b: {}", ""),
        ("alert.value > model.slo.wait || alert.value > 10.0", "a: {slo: {wait: 3}}, b: {}", ""),
        ('alert.value > model.slo["wait"]', "a: {slo: {wait: 3}}, b: {}", "an alert of b or"),
        ('alert.model != "" && alert.value > model.slo.wait', "a: {slo: {wait: 3}}, b: {}", "an alert of b or"),
        (
            'alert.value > model.slo.wait && (model.team != "x" || alert.region != "y")',
            "a: {team: x, slo: {wait: 3}}, b: {}",
            "of b or",
        ),
    ],
)
def test_objective_that_models_lack_is_a_warning(tmp_path: Path, condition: str, models: str, warned: str) -> None:
    rules = f"rules:\n  - {{name: slow, when: '{condition}', tier: critical}}\n"
    warnings = load(tmp_path, f"{BASE}models: {{{models}}}\n{rules}").warnings
    assert [warned in str(warning) for warning in warnings] == ([True] if warned else [])
    for warning in warnings:
        assert "rules[0].when: model.slo.wait has no default" in str(warning)
        assert str(warning).endswith("set models.defaults.slo.wait")
