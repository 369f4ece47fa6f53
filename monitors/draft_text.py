"""A drafted policy and its tests, as YAML with comments."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from alerts import FIELD_OF, Description, normalise
from monitors.draft import Draft, DraftedMetric, DraftedModel
from monitors.hypothetical import hypothetical_alerts
from monitors.report import plain
from policy import Policy

_TEMPLATE = """\
# A first policy, drafted by `tocsin arize draft` from {count} of {tenant}.
# Read every line: the tiers are a proposal, and the destinations are examples. Then:
#   tocsin policy check {name}
#   tocsin policy test --policy {name}
#   tocsin arize coverage --policy {name}
version: 1

# ── Destinations. Replace them by yours; secrets are named, never written. ──────────────────────────────
destinations:
  oncall:   {{type: pagerduty, routing_key: {{env: PAGERDUTY_PRIMARY_KEY}}}}
  ai-ops:   {{type: slack, token: {{env: SLACK_BOT_TOKEN}}, channel: "#ai-ops-alerts"}}
  ml-daily: {{type: slack, token: {{env: SLACK_BOT_TOKEN}}, channel: "#ml-daily", schedule: "0 8 * * *", timezone: UTC}}
  terminal: {{type: console}}

# ── Tiers: which destinations are notified, and when ────────────────────────────────────────────────────
tiers:
  critical:
    steps:
      - notify: [oncall]
      - {{after: 15m, notify: [oncall, ai-ops]}}   # only while nobody has acknowledged
    fallback: [ai-ops, terminal]                 # if a destination of a step cannot be reached
    remind: 4h
  high:
    steps:
      - notify: [ai-ops]
    respond_within: 1h                           # not acknowledged by then: critical
    fallback: [oncall]
  low:
    digest: [ml-daily]
"""
_MODELS = """
# ── The catalogue: a model for each Arize project that has monitors ─────────────────────────────────────
# State what Arize does not know: customer_facing, regulated, retriever, runbook. The objectives are the loosest
# thresholds of the model's monitors.
models:
"""
_METRICS = """
# ── Metrics that Tocsin does not know by their names in Arize. Rename them, and state kind and unit. ────
metrics:
"""
_RULES = """
# ── Rules: the first that matches decides. Below each, the monitors that it is for. ─────────────────────
rules:
"""
_END = """unmapped: {tier: high}       # a metric that no rule names, such as that of a new monitor
otherwise: {tier: low}
"""
_GOVERNANCE = """
# ── Governance: incidents of regulated models, which only a person may close. Add a ticket. ─────────────
governance: {regulated: model.regulated, closed_by: compliance}
"""
_TESTS = """\
# Every monitor of {tenant}, as if it triggered just beyond its threshold. Drafted by `tocsin arize draft`.
tests:
"""


def policy_text(draft: Draft, tenant: str, monitors: int, name: str) -> str:
    """The policy.

    Args:
        draft: What it holds.
        tenant: Names the tenant, for a comment.
        monitors: How many monitors it is for.
        name: The file's name, for the commands in a comment.
    """
    count = f"{monitors} monitor{'' if monitors == 1 else 's'}"
    text = _TEMPLATE.format(count=count, tenant=plain(tenant), name=plain(name)) + _MODELS
    slo = f", slo: {_flow(draft.slo)}" if draft.slo else ""
    text += f"  defaults: {{environment: production{slo}}}\n"
    text += "".join(map(_model, draft.models))
    if draft.metrics:
        text += _METRICS + "".join(map(_metric, draft.metrics))
    if draft.rules:
        text += _RULES + "".join(_rules(draft))
    text += _END
    return text + (_GOVERNANCE if any(one.regulated for one in draft.models) else "")


def _model(one: DraftedModel) -> str:
    parts = [f"{key}: {_quoted(value)}" for key, value in one.fields.items()]
    parts += ["regulated: true"] if one.regulated else []
    parts += [f"slo: {_flow(one.slo)}"] if one.slo else []
    parts.append(f"arize: {{projects: [{', '.join(map(_quoted, one.projects))}]}}")
    remark = f"  # {plain(one.remark)}\n" if one.remark else ""
    return f"{remark}  {_quoted(one.name)}: {{{', '.join(parts)}}}\n"


def _metric(one: DraftedMetric) -> str:
    parts = [f"names: [{', '.join(map(_quoted, one.names))}]"] if one.names else [f"match: {_quoted(one.match)}"]
    parts += [f"better: {one.better}"] if one.better else []
    remark = f"   # {plain(one.remark)}" if one.remark else ""
    return f"  {one.name}: {{{', '.join(parts)}}}{remark}\n"


def _rules(draft: Draft) -> Iterator[str]:
    for rule in draft.rules:
        yield f"  - name: {_quoted(rule.name)}\n    when: {_quoted(rule.when)}\n    tier: {rule.tier}\n"
        for remark in rule.remarks:
            yield f"    # {plain(remark)}\n"


def cases_text(descriptions: Sequence[Description], policy: Policy, tenant: str, now: datetime) -> str:
    """The policy's tests: an alert of each monitor, with the rule and the tier that the policy gives it."""
    lines: list[str] = []
    names: set[str] = set()
    for one in descriptions:
        for side, alert in hypothetical_alerts(one):
            body = _body(alert.raw)
            decision = policy.decide(normalise(body), now)
            name = plain(" ".join(part for part in (alert.monitor, "of", alert.model or "no model", side) if part))[
                :180
            ]
            count = 1
            while (unique := name if count == 1 else f"{name} {count}") in names:
                count += 1
            names.add(unique)
            lines.append(
                f"  - name: {_quoted(unique)}\n    alert: {json.dumps(body, ensure_ascii=False)}\n    until: 30m\n"
                f"    expect: {{rule: {_quoted(decision.rule)}, tier: {decision.tier}}}\n"
            )
    return _TESTS.format(tenant=plain(tenant)) + "".join(lines)


_SAFE = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LEFT_OUT = frozenset({"url", "occurred_at"})


def _body(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy's test may state of a body, without texts that YAML cannot hold."""
    return {
        name: _printable(value)
        for name, value in raw.items()
        if FIELD_OF.get(name) and FIELD_OF[name] not in _LEFT_OUT and value not in (None, "", [], {})
    }


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): _printable(one) for key, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_printable(one) for one in cast("list[Any]", value)]
    return value


def _flow(numbers: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{name}: {_number(value)}" for name, value in numbers.items()) + "}"


def _number(value: float) -> str:
    """A number as YAML reads it: an exponent needs a point before it."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _quoted(text: str) -> str:
    """A text as YAML reads it: as it is if that is safe, else in the quotes that need fewer escapes."""
    text = plain(text)
    if _SAFE.match(text) and text.casefold() not in _YAML_WORDS:
        return text
    if '"' in text and "'" not in text and "\\" not in text:
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False)
