"""What is wrong with a policy is said with its place, all at once, and with what is near."""

from pathlib import Path

import pytest

from activities.destinations import destination_types
from policy import PolicyError, load_policy
from policy.schema import NOT_BUILT, TYPES_NOT_BUILT
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
        (BASE.replace("version: 1", "version: 2"), "1:1: version: Input should be 1"),
        (
            BASE.replace("after: 15m", "after: 15"),
            "tiers.critical.steps[1].after: a duration is a whole number with its unit",
        ),
        (
            BASE.replace("after: 30m", "after: 10m"),
            "counts from the first step, so it must be more than the step before",
        ),
        (
            BASE.replace("notify: [chat]}\n      - {after: 30m", "notify: [chta]}\n      - {after: 30m"),
            "'chta' is no destination; there are chat, pager, term, work",
        ),
        (
            BASE.replace("type: slack", "type: slak"),
            "destinations.chat.type: 'slak' is no type of destination: did you mean slack?",
        ),
        (BASE.replace("type: console", "type: email"), "destinations.term.type: email: not built yet"),
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
        (BASE + "rules:\n  - {name: a, when: 'true', tier: urgent}\n", "Input should be 'critical', 'high' or 'low'"),
        (BASE + "rules:\n  - {name: a, when: 'true', tier: high, notify: []}\n", "this tells nobody and opens nothing"),
        (BASE + "governance: {closed_by: boss}\n", "governance.closed_by: Input should be"),
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
    ("condition", "said"),
    [
        ("alert.metrik == 'x'", "alert.metrik is unknown: did you mean metric?"),
        ("alrt.metric == 'x'", "'alrt' is unknown: did you mean alert?"),
        ("model.tier == 'x'", "model.tier is unknown"),
        ("model.slo.eror_rate > 1.0", "model.slo.eror_rate is set for no model: did you mean error_rate?"),
        ("incident.alert > 3", "incident.alert is unknown: did you mean alerts?"),
        ("alert.metric.beginsWith('x')", "the function 'beginsWith' is unknown"),
        ("alert.metric ==", "at column"),
        ("alert.metric", "a condition answers true or false"),
        ("alert.metric > 3", "unsupported|type|compar"),
    ],
)
def test_a_condition_is_checked_when_it_is_loaded(tmp_path: Path, condition: str, said: str) -> None:
    import re

    rule = (
        f'rules:\n  - {{name: a, tier: low, when: "{condition}"}}\nmodels: {{defaults: {{slo: {{error_rate: 1}}}}}}\n'
    )
    (found,) = problems(tmp_path, BASE + rule)
    assert found.startswith("18:26: rules[0].when: ")
    assert re.search(said, found), found


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = BASE.replace("after: 15m", "after: 15").replace("type: slack", "type: slak") + "nois: {}\n"
    found = problems(tmp_path, text)
    assert len(found) == 3
    assert [int(problem.split(":")[0]) for problem in found] == sorted(int(problem.split(":")[0]) for problem in found)


@pytest.mark.parametrize("key", sorted(NOT_BUILT))
def test_a_key_that_is_not_built_is_an_error_that_says_so(tmp_path: Path, key: str) -> None:
    snippet = {
        "rules[].inhibits": "rules: [{name: a, when: 'true', tier: low, inhibits: {}}]",
        "rules[].notify_owner": "rules: [{name: a, when: 'true', tier: low, notify_owner: true}]",
        "models.*.enrich": "models: {m: {enrich: []}}",
        "governance.evidence": "governance: {evidence: {}}",
    }.get(key, f"{key}: {{}}")
    (found,) = problems(tmp_path, BASE + snippet + "\n")
    assert "not built yet, so this key is refused rather than ignored" in found


@pytest.mark.parametrize("kind", sorted(TYPES_NOT_BUILT))
def test_a_type_that_is_not_built_is_an_error_that_says_so(tmp_path: Path, kind: str) -> None:
    assert kind not in destination_types(), "it is built: take it out of TYPES_NOT_BUILT"
    found = problems(tmp_path, BASE.replace("type: console", f"type: {kind}"))
    assert any("not built yet" in problem for problem in found)


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
