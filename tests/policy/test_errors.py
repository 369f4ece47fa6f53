"""What is wrong with a policy is said with its place, all at once, and with what is near."""

from pathlib import Path

import pytest

from activities.destinations import destination_types
from policy import PolicyError, load_policy
from policy.schema import NOT_BUILT
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


def test_a_good_one_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, BASE + RULES) == []


@pytest.mark.parametrize(
    ("text", "said"),
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
            "counts from the first step, so it must be more than the step before",
        ),
        (
            BASE.replace("notify: [chat]}\n      - {after: 30m", "notify: [chta]}\n      - {after: 30m"),
            "'chta' is no destination: did you mean chat?",
        ),
        (
            BASE.replace("type: slack", "type: slak"),
            "destinations.chat.type: 'slak' is no type of destination: did you mean slack?",
        ),
        (
            BASE.replace("low: {digest: [term]}", "low: {digest: [pager]}"),
            "tiers.low.digest: 'pager' is of type pagerduty, which pages people and takes no digests",
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
            "a secret is named by {env: NAME} or {file: PATH}, one of the two",
        ),
        (
            BASE.replace('"#ops"', '"#ops", schedule: "every day"'),
            "destinations.chat.schedule: 'every day' is no cron expression",
        ),
        (BASE.replace('"#ops"', '"#ops", timezone: Berlin'), "'Berlin' is no time zone; say Europe/Berlin, or UTC"),
        (CHATTY, "a critical incident would page nobody"),
        (
            BASE.replace("low: {digest: [term]}", "low: {}"),
            "tiers.low: this tier tells nobody: give it steps or a digest",
        ),
        (BASE.replace("fallback: [term]", "fallback: [work]"), "'work' is of type jira: name it as ticket, not here"),
        (BASE + TICKET_TO_CHAT, "'chat' is of type slack, which opens no tickets"),
        (BASE + TWICE, "19:6: rules[1].name: another rule is named 'a' already"),
        (
            BASE + "rules:\n  - {name: a, when: 'true', tier: urgent}\n",
            "18:29: rules[0].tier: found 'urgent'; allowed are critical, high, low",
        ),
        (BASE + "rules:\n  - {name: a, when: 'true', tier: high, notify: []}\n", "this tells nobody and opens nothing"),
        (
            BASE + "governance: {closed_by: boss}\n",
            "governance.closed_by: found 'boss'; allowed are admin, compliance, responder",
        ),
        ("a: [", "not YAML"),
        ("", "the file is empty"),
        ("- a\n", "a policy is a map of sections"),
        ("version: 1\nversion: 1\n", "2:1: not YAML: found duplicate key"),
        (BOMB, "anchors and aliases blow it up"),
        ("a: &a [*a]\n", "an anchor contains itself"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
    ],
    ids=lambda value: None,
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, text)
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("condition", "column", "said"),
    [
        ("alert.metrik == 'x'", 1, "alert.metrik is unknown: did you mean metric?"),
        ("alrt.metric == 'x'", 1, "'alrt' is unknown: did you mean alert?"),
        ("model.tier == 'x'", 1, "model.tier is unknown"),
        ("model.slo.eror_rate > 1.0", 6, "model.slo.eror_rate is set for no model: did you mean error_rate?"),
        ("incident.alert > 3", 1, "incident.alert is unknown: did you mean alerts?"),
        ("alert.metric.beginsWith('x')", 24, "the function 'beginsWith' is unknown"),
        ("alert.metric ==", 16, "Syntax error: it ends where more is expected"),
        ("alert.metric", 6, "a condition answers true or false; this is text"),
        ("alert.value > 1.0 && alert.metric > 3", 35, "alert.metric is text and 3 is a whole number: they never"),
        ("alert.value * 2 > 1.0", 15, "write 2.0: CEL does not multiply whole and other numbers"),
        ("alert.segment['a'] == 3", 20, 'alert.segment["a"] is text and 3 is a whole number'),
        ("alert.metric in ['a', 3]", 23, "alert.metric is text and 3 is a whole number"),
        ("alert.value && true", 6, "alert.value is a number; true or false is needed here"),
        ("alert.value.matches('x')", 20, "matches asks text; alert.value is a number"),
        ("alert.metric.unit == 'x'", 6, "alert.metric is text: it has no field 'unit'"),
        ("alert.segment > 3.0", 15, "alert.segment is a map of texts and 3.0 is a number"),
        ("alert.kind == 'drfit'", 15, "'drfit' is no kind of alert: did you mean drift?"),
        ("alert.status == 'fired'", 17, "alert.status is never 'fired'"),
        ("model.team == 'suport'", 15, "no model of the catalogue has the team 'suport': did you mean support?"),
        ("alert.model == 'chatbott'", 16, "'chatbott' is no model of the catalogue: did you mean chatbot?"),
        ("(" * 40 + "true" + ")" * 40, 1, "is nested deeper than 32 levels"),
    ],
)
@pytest.mark.parametrize("style", ["'", '"', "", ">", "|"])
def test_a_condition_is_checked_when_it_is_loaded(
    tmp_path: Path, condition: str, column: int, said: str, style: str
) -> None:
    """The place is that of the fault itself, however YAML writes the condition."""
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
    assert said in found[0], found


def test_a_condition_over_several_lines_is_pointed_into(tmp_path: Path) -> None:
    rules = "rules:\n  - name: a\n    tier: low\n    when: >\n      alert.value > 1.0 &&\n      alert.metrik == 'x'\n"
    (found,) = problems(tmp_path, BASE + rules)
    assert found.startswith("22:7: rules[0].when: alert.metrik is unknown")
    escaped = 'rules:\n  - {name: a, tier: low, when: "alert.metric == \\"x\\" && alert.metrik == 1"}\n'
    (found,) = problems(tmp_path, BASE + escaped)
    assert found.startswith("18:26: rules[0].when: alert.metrik is unknown")
    assert found.endswith("(at character 24 of it)")


def test_every_fault_of_a_condition_is_told(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, tier: low, when: alert.metrik == 'x' && alert.valeu > 1.0 && now == 'x'}\n"
    found = problems(tmp_path, BASE + rules)
    assert [problem.split(":")[1] for problem in found] == ["32", "55", "80"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = BASE.replace("after: 15m", "after: 15").replace("type: slack", "type: slak") + "nois: {}\n"
    found = problems(tmp_path, text)
    assert len(found) == 3
    assert [int(problem.split(":")[0]) for problem in found] == sorted(int(problem.split(":")[0]) for problem in found)


@pytest.mark.parametrize("key", sorted(NOT_BUILT))
def test_a_key_that_is_not_built_is_an_error_that_says_so(tmp_path: Path, key: str) -> None:
    snippet = {
        "rules[].inhibits": "rules: [{name: a, when: 'true', tier: low, inhibits: same_model}]",
        "models.*.enrich": "models: {m: {enrich: {deploys: {type: github}}}}",
        "governance.evidence": "governance: {evidence: [term]}",
        "intake": "intake: [{when: 'true', alert: {monitor: payload.x}}]",
    }.get(key, f"{key}: {{}}")
    (found,) = problems(tmp_path, BASE + snippet + "\n")
    assert "not built yet, so this key is refused rather than ignored" in found


def test_the_shape_of_what_is_not_built_is_checked_too(tmp_path: Path) -> None:
    text = "noise: {flapping: {changes: 1, within: 1h, until_stabel: 30m}}\nrollout: {phase: shout}\n"
    found = [problem.partition(": ")[2] for problem in problems(tmp_path, BASE + text)]
    assert sorted(found) == [
        "noise.flapping.changes: found 1; input should be greater than or equal to 2",
        "noise.flapping.until_stabel: unknown key: did you mean until_stable?",
        "noise.flapping.until_stable: is missing",
        f"noise: {NOT_BUILT['noise']}: not built yet, so this key is refused rather than ignored",
        "rollout.phase: found 'shout'; allowed are observe, page, warn",
        "rollout: phases of a rollout: not built yet, so this key is refused rather than ignored",
    ]


def test_nothing_in_the_contract_is_wrong_but_what_is_not_built_yet() -> None:
    contract = Path(__file__).resolve().parents[3] / "shared" / "policy.example.yaml"
    if not contract.exists():
        pytest.skip("the contract does not lie beside this checkout")
    with pytest.raises(PolicyError) as refused:
        load_policy(contract, destination_types())
    errors = [str(problem) for problem in refused.value.problems if problem.severity == "error"]
    assert [error for error in errors if "not built yet" not in error] == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("escalaton: [{notify: [pager]}]", "tiers.critical.escalaton: unknown key: did you mean steps?"),
        ("reminder: 4h", "tiers.critical.reminder: unknown key: did you mean remind?"),
        ("falback: [term]", "tiers.critical.falback: unknown key: did you mean fallback?"),
    ],
)
def test_a_name_from_elsewhere_is_understood(tmp_path: Path, written: str, meant: str) -> None:
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
def test_a_secret_in_the_open_is_refused_and_not_repeated(tmp_path: Path, written: str) -> None:
    found = problems(tmp_path, BASE.replace('channel: "#ops"', f'channel: "#ops", {written}'))
    assert any("a secret is named, never written" in problem for problem in found), found
    assert written.split(": ", 1)[1].strip('"') not in "\n".join(found)


def test_secrets_that_are_not_set_are_warned_of_where_an_environment_is_given(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(BASE)
    policy = load_policy(file, destination_types(), {"KEY": "x", "SLACK": "", "U": "u"})
    assert [str(warning) for warning in policy.warnings] == [
        "policy.yaml:4:24: warning: destinations.chat.token: SLACK is not set here",
        "policy.yaml:5:79: warning: destinations.work.token: T is not set here",
    ]
    assert load_policy(file, destination_types()).warnings == ()


@pytest.mark.parametrize(
    ("rules", "said"),
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
        # An alert may lack the change: then the first is skipped and the second decides.
        (["alert.change > 0.3 || alert.change <= 0.3", "alert.value > 1.0"], {}),
    ],
)
def test_a_rule_that_can_never_decide_is_an_error(tmp_path: Path, rules: list[str], said: dict[int, str]) -> None:
    text = "models: {defaults: {slo: {error_rate: 0.05}}}\nrules:\n" + "".join(
        f'  - {{name: r{index}, tier: low, when: "{rule}"}}\n' for index, rule in enumerate(rules)
    )
    found = problems(tmp_path, BASE + text)
    assert len(found) == len(said), found
    for problem, (index, words) in zip(found, said.items(), strict=True):
        assert f"rules[{index}].when: " in problem
        assert words in problem


def test_an_owner_that_is_no_destination_is_warned_of_where_a_rule_tells_it(tmp_path: Path) -> None:
    models = "models: {chatbot: {owner: alice}, other: {owner: chat}}\n"
    rules = "rules:\n  - {name: a, when: 'alert.value > 1.0', tier: high, notify_owner: true}\n"
    (warning,) = load(tmp_path, BASE + models + rules).warnings
    assert "models.chatbot.owner: 'alice' is no destination: what a sends the owner names them only" in str(warning)
    assert load(tmp_path, BASE + models).warnings == ()


def test_a_model_that_no_catalogue_knows_is_warned_of(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, when: 'alert.model == \"weather\"', tier: low}\n"
    (warning,) = load(tmp_path, BASE + "models: {chatbot: {}}\n" + rules).warnings
    assert str(warning).endswith("warning: rules[0].when: 'weather' is no model of the catalogue")


def test_a_folder_of_files_is_one_policy(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(BASE)
    (tmp_path / "p" / "b.yaml").write_text(RULES)
    assert len(load_policy(tmp_path / "p", destination_types()).rules) == 4
    (tmp_path / "p" / "c.yaml").write_text("rules: []\n")
    with pytest.raises(PolicyError, match=r"c\.yaml:1:1: rules: stands in b\.yaml too"):
        load_policy(tmp_path / "p", destination_types())


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml", destination_types())
    assert "at most 1,048,576 are read" in problems(tmp_path, "#" * 1_048_577)[0]
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\nx: \xff\n")
    with pytest.raises(PolicyError, match=r"latin\.yaml:2:1: the file is not UTF-8"):
        load_policy(tmp_path / "latin.yaml", destination_types())


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    one = load(tmp_path, BASE)
    assert load(tmp_path, BASE).digest == one.digest
    assert load(tmp_path, BASE + "# more\n").digest != one.digest
