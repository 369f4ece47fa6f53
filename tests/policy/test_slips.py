"""Slips of people who write policies: each is refused or warned of, with the remedy, and no secret is repeated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from integrations.base.registry import callbacks, destination_types
from policy import PolicyError, PolicySource, load_policy, parse_policy
from policy.schema import PolicyFile
from policy.secret_sources import is_own
from tests.policy.policies import BASE, problems
from worker.settings import Settings

CONDITIONS = {
    'alert.metric == "x" and alert.value > 1': "write && for and",
    'alert.metric == "x" OR alert.value > 1': "write || for or",
    "not alert.mapped": "write ! for not",
    'alert.metric not in ["a"]': "write ! for not",
    'alert.metric is "x"': "write == for is",
    'alert.metric = "x"': "write ==",
    'alert.metric == "x" & true': "write &&",
    'alert.metric == "x" | true': "write ||",
    "alert.value => 1": "write >=",
    "alert.value <> 1": "write !=",
    "alert.metric == “x”": "typographic quote",
    "alert.metric == `x`": 'write " around a text',
    "alert.metric == x": 'a text is written "x"',
    "alert.mapped == True": "write true",
    "alert.mapped == yes": "write true",
    "alert.value > 1,5": "write a point",
    "alert.value > 5%": "write 0.05 for 5 %",
    "alert.value > 15m": 'write duration("15m")',
    'alert.metric in ("a", "b")': 'as in ["a", "b"]',
    'alert.metric.startswith("a")': "did you mean startsWith?",
    "len(alert.tags) > 1": "did you mean size?",
    'alert.metric.lower() == "x"': "(?i)",
    'alert.model.matches("[")': "no regular expression: invalid regular expression: missing ]",
    'alert.monitor.matches("(a")': "no regular expression",
    'duration("5 minutes") < duration("1h")': "can never be evaluated",
    'timestamp("2026-01-01") < now': "can never be evaluated",
    'now.getHours("Europe/Berln") > 3': "no time zone",
    "1 / 0 > alert.tags.size()": "can never be evaluated: divide by zero",
    'alert.metric == "eror_rate"': "did you mean error_rate?",
    'alert.metric in ["p95_latency_m"]': "did you mean p95_latency_ms?",
    'alert.metric == "hallucination"': "write hallucination_rate",
    'alert.metric == "error_rate" && alert.value > 20.0': "write 0.2 for 20 %",
    '20 < alert.value && alert.metric in ["error_rate", "toxicity"]': "is a ratio from 0 to 1",
    'alert.metric == "error_rate" && alert.change > 50': "write 0.5 for 50 %",
    'alert.metric == "x" && alert.change <= -30': "write -0.3 for -30 %",
}


def found(tmp_path: Path, text: str) -> str:
    """The problems, warnings too."""
    try:
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        return "\n".join(map(str, load_policy(file, destination_types()).warnings))
    except PolicyError as error:
        return str(error)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_slip_in_a_condition_names_the_remedy(condition: str, tmp_path: Path) -> None:
    text = f"{BASE}rules:\n  - name: r\n    tier: high\n    when: >\n      {condition}\n"
    shown = found(tmp_path, text)
    assert "rules[0].when: " in shown
    assert CONDITIONS[condition] in shown


@pytest.mark.parametrize(
    "condition",
    [
        'alert.metric == "error_rate" && alert.value > 0.05',
        'alert.metric == "p95_latency_ms" && alert.value > 5000.0',
        'alert.metric == "our_own_business_metric"',
        'alert.tags.exists(t, t == "a")',
        'alert.metric == "error_rate" && alert.change > 3.0',
        'alert.monitor.matches("(?i)premium|gold")',
        'duration("5m") < duration("1h") && now.getHours("Europe/Berlin") > 3',
    ],
)
def test_sound_condition_has_no_warning(condition: str, tmp_path: Path) -> None:
    assert found(tmp_path, f"{BASE}rules:\n  - name: r\n    tier: high\n    when: >\n      {condition}\n") == ""


CHAT = 'channel: "#ops"'
SLIPS: dict[str, tuple[tuple[str, str], str]] = {
    "a comment in a flow map": ((CHAT, "channel: #search"), 'quote it, "#search"'),
    "a comment in a list": ((CHAT, f"{CHAT}, mention: [ #a]"), 'quote it, "#a"'),
    "a comment in a block": (
        ("  term:", "  c2:\n    type: slack\n    channel: #search\n  term:"),
        'quote it, "#search"',
    ),
    "a tab": (("  term:", "\tterm:"), "indented with spaces"),
    "a key twice": (("  term:", "  chat: {type: console}\n  term:"), "the key 'chat' stands here twice"),
    "a mention without quotes": ((CHAT, f"{CHAT}, mention: [@ops]"), "begins with @ must be quoted"),
    "a space in a variable": (("{env: SLACK}", "{env: SLACK TOKEN}"), "did you mean SLACK_TOKEN?"),
    "a dollar in a variable": (("{env: SLACK}", "{env: $SLACK}"), "did you mean SLACK?"),
    "a shell's variable": (("{env: SLACK}", "$SLACK"), "write {env: SLACK}"),
    "an address without a scheme": (
        ("https://acme.atlassian.net", "acme.atlassian.net"),
        "an address such as https://",
    ),
    "a channel without #": ((CHAT, "channel: ops"), "The channel: #name or its id"),
    "a city as a zone": (("{type: console}", "{type: console, timezone: berlin}"), "did you mean Europe/Berlin?"),
    "a misspelt zone": (("{type: console}", "{type: console, timezone: Europe/Berln}"), "did you mean Europe/Berlin?"),
    "a time as a schedule": (("{type: console}", '{type: console, schedule: "8:00"}'), 'as in "0 8 * * 1"'),
    "a duration in words": (("after: 15m", "after: 15 min"), "such as 30s, 15m"),
    "a duration without an end": (("remind: 4h", "remind: 999999w"), "at most 3650d"),
    "a reminder without a pause": (("remind: 4h", "remind: 0s"), "at least 1s"),
    "a tier in capitals": (("version: 1", "version: 1\nunmapped: {tier: High}"), "did you mean high?"),
    "a condition that is no text": (("version: 1", "version: 1\ngovernance: {regulated: true}"), "write it in quotes"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slip_names_the_remedy(slip: str, tmp_path: Path) -> None:
    change, remedy = SLIPS[slip]
    assert change[0] in BASE
    shown = "\n".join(problems(tmp_path, BASE.replace(*change)))
    assert remedy in shown, shown


def test_bad_address_shows_no_validator(tmp_path: Path) -> None:
    mail = "  mail: {type: email, smtp: {env: S}, from: ops, to: [night at example.com]}\n  term:"
    shown = problems(tmp_path, BASE.replace("  term:", mail))
    assert len(shown) == 2, shown
    for words in ("string should", "pattern", "^", "validation", "tuple"):
        assert words not in "\n".join(shown).casefold()


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────


def numbers(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every number of the schema, with its path; items of lists and maps are one level deeper."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        for hint in _parts(field.annotation):
            if isinstance(hint, type) and issubclass(hint, BaseModel):
                yield from numbers(hint, here)
            elif hint in {int, float}:
                yield here, field


def _parts(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from _parts(get_args(hint)[0])
    elif get_args(hint):
        for part in get_args(hint):
            yield from _parts(part)
    else:
        yield hint


VALUES = ("true", ".nan", ".inf", "-.inf", "1e999", "'1'", "[1]", "null5", "1e300")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", ["slo", "repeat", "version", "changes", "pages", "confirm_above", "expected"])
def test_number_is_a_finite_number(key: str, value: str, tmp_path: Path) -> None:
    text = {
        "slo": f"{BASE}models: {{a: {{slo: {{anything: {value}}}}}}}\n",
        "repeat": BASE.replace("repeat: 2", f"repeat: {value}"),
        "version": BASE.replace("version: 1", f"version: {value}"),
        "changes": f"{BASE}noise: {{flapping: {{changes: {value}}}}}\n",
        "pages": f"{BASE}noise: {{page_budget: {{pages: {value}}}}}\n",
        "expected": f"{BASE}noise: {{seasonal: [{{when: alert.value > 1.0, expected: {value}}}]}}\n",
        "confirm_above": f"{BASE}noise: {{silences: {{confirm_above: {value}}}}}\n",
    }[key]
    shown = problems(tmp_path, text)
    assert shown, "good"
    assert any(key in one and "number" in one for one in shown), shown


def test_every_number_of_the_schema_is_covered() -> None:
    """A key with a number is a duration, or one of those that are tested above."""
    models = [PolicyFile, *destination_types().values()]
    plain = [path for model in models for path, field in numbers(model) if "SecondsMark" not in repr(field)]
    assert {path[-1] for path in plain} <= {"slo", "repeat", "changes", "pages", "confirm_above", "expected"}, plain


@pytest.mark.parametrize(
    ("objective", "remedy"),
    [
        ("error_rate: 5", "write 0.05 for 5 %"),
        ("hallucination_rate: -0.1", "is a ratio from 0 to 1"),
        ("p95_latency_ms: -5", "is never negative"),
        ("error_rate: 5%", "write 0.05 for 5%"),
        ("error_rate: '0.05'", "write 0.05 without quotes"),
    ],
)
def test_objective_is_in_its_range(objective: str, remedy: str, tmp_path: Path) -> None:
    shown = problems(tmp_path, f"{BASE}models: {{a: {{slo: {{{objective}}}}}}}\n")
    assert len(shown) == 1
    assert remedy in shown[0]


# ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────────

OWN = sorted({str(field.validation_alias) for field in Settings.model_fields.values()} - {"FORWARDED_ALLOW_IPS"})
PLACES = {
    "routing_key": BASE.replace("{env: KEY}", "SECRET"),
    "header": BASE.replace(
        "  term:", '  out: {type: webhook, url: "https://a.example", headers: {Authorization: SECRET}}\n  term:'
    ),
    "heartbeat": BASE + "watchdog: {notify: [term], heartbeat: {url: SECRET}}\n",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "variable",
    [*OWN, "TOCSIN_OF_A_LATER_RELEASE", "PGPASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "TEMPORAL_TLS_CLIENT_KEY_DATA"],
)
def test_own_variable_is_no_destinations_secret(place: str, variable: str, tmp_path: Path) -> None:
    assert is_own(variable)
    (problem,) = problems(tmp_path, PLACES[place].replace("SECRET", f"{{env: {variable}}}"))
    assert f"{variable} is a variable of Tocsin itself" in problem


@pytest.mark.parametrize("callback", callbacks(), ids=lambda callback: callback.name)
def test_callbacks_secret_is_no_destinations_secret(callback: Any, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, PLACES["header"].replace("SECRET", f"{{env: {callback.setting}}}"))
    assert f"{callback.setting} authenticates callbacks to Tocsin" in problem


def test_file_is_confined_to_folders(tmp_path: Path) -> None:
    folder, state = tmp_path / "secrets", tmp_path / "secrets" / "state"
    state.mkdir(parents=True)
    for file in (folder / "key", tmp_path / "elsewhere", state / "api-tokens", folder / "tokens"):
        file.write_text("the-secret\n")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "..data").symlink_to(folder)
    variables = {
        "TOCSIN_SECRET_DIRS": str(folder),
        "TOCSIN_STATE_DIR": str(state),
        "TOCSIN_API_TOKENS": str(folder / "tokens"),
        **dict.fromkeys(("SLACK", "U", "T"), "x"),
    }

    def shown(path: object) -> str:
        source = PolicySource((("policy.yaml", BASE.replace("{env: KEY}", f'{{file: "{path}"}}').encode()),))
        try:
            policy = parse_policy(source, destination_types(), variables)
        except PolicyError as error:
            for secret in error.problems:
                assert "the-secret" not in str(secret)
            return str(error)
        (secret,) = policy.destinations["pager"].secrets().values()
        return secret.resolve(variables) or "nothing"

    assert shown(folder / "key") == shown(folder / "..data" / "key") == "the-secret"
    for path in (
        tmp_path / "elsewhere",
        folder / "link",
        folder / ".." / "elsewhere",
        "/etc/passwd",
        "/proc/self/environ",
    ):
        assert "is not in a folder for secrets" in shown(path), path
    for path in (state / "api-tokens", folder / "tokens", folder / "kubernetes.io" / "token"):
        assert "is a secret of Tocsin itself" in shown(path), path
