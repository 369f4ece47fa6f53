"""A first policy for a tenant: models, metrics and rules that cover every one of its monitors.

It is a proposal for people to edit. What is critical is decided by the metric alone, see ``tier_of``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mode

from alerts import Alert, Description
from alerts.values import snake
from monitors.coverage import cadence
from monitors.hypothetical import hypothetical_alerts
from policy import Policy, Tier, format_duration
from policy.cel.unparse import format_value
from policy.meaning.known import fold, known

_CRITICAL = frozenset({"error_rate", "p95_latency_ms", "p99_latency_ms", "retrieval_success_rate"})
"""Metrics whose breach means that customers of a model are affected now."""
_LOW_KINDS = frozenset({"data_quality"})
_LOW_METRICS = frozenset({"feature_drift"})
_TIERS: tuple[Tier, ...] = ("critical", "high", "low")
_FIELDS = ("team", "owner", "service", "runbook")
"""Keys of the catalogue that tags of monitors and projects state."""
_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)
"""Words that CEL does not read as names."""
_STAGING = re.compile(r"(?i)(?:^|[-_ .])(staging|stage|dev|development|test|sandbox)(?:$|[-_ .])")
SLOW_CADENCE, LONG_WINDOW = 15 * 60, 3600
"""Seconds, beyond which a page about a monitor comes late."""

_LATE = "Late for a page: in Arize, consider a cadence of 5m and a window of 15m."

Parse = Callable[[str], Policy]
"""Parses a policy's text; raises PolicyError."""


@dataclass(frozen=True, kw_only=True)
class DraftedModel:
    """An entry of the catalogue, for one project."""

    name: str
    projects: tuple[str, ...]
    fields: Mapping[str, str]
    regulated: bool
    slo: Mapping[str, float]
    remark: str


@dataclass(frozen=True)
class DraftedMetric:
    """An entry of ``metrics``, for what Tocsin does not know."""

    name: str
    names: tuple[str, ...] = ()
    match: str = ""
    better: str = ""
    remark: str = ""


@dataclass(frozen=True)
class DraftedRule:
    """A rule, and a remark on each monitor that it is for."""

    name: str
    when: str
    tier: Tier
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """What a policy needs for a tenant's monitors. ``slo`` are the defaults, for models without an own objective."""

    models: tuple[DraftedModel, ...]
    metrics: tuple[DraftedMetric, ...]
    slo: Mapping[str, float] = field(default_factory=dict[str, float])
    rules: tuple[DraftedRule, ...] = ()


@dataclass(frozen=True)
class _Sample:
    """One alert that a monitor may send, in the draft's words."""

    description: Description
    alert: Alert

    @property
    def production(self) -> bool:
        return self.alert.environment == "production"


def make_draft(descriptions: Sequence[Description], text_of: Callable[[Draft], str], parse: Parse) -> Draft:
    """The draft for monitors.

    Args:
        descriptions: Of the monitors.
        text_of: Writes a draft as a policy.
        parse: Parses that policy, whose ``interpret`` says what the monitors measure.
    """
    names = _model_names(descriptions)
    catalogue = Draft(tuple(_model(name, ids, descriptions, {}) for name, ids in names.items()), ())
    metrics = tuple(_metrics(_samples(descriptions, parse(text_of(catalogue)))))
    named = Draft(catalogue.models, metrics)
    samples = _samples(descriptions, parse(text_of(named)))
    better = {one.name: one.better for one in metrics}
    objectives = _objectives([one for one in samples if one.production], better)
    loosest = {metric: _loosest(found.values(), operator) for (metric, operator), found in objectives.items()}
    slo = {
        model: {metric: found[model] for (metric, _), found in objectives.items() if model in found} for model in names
    }
    models = tuple(_model(name, ids, descriptions, slo[name]) for name, ids in names.items())
    operators = dict(objectives.keys())
    return Draft(models, metrics, loosest, tuple(_rules(samples, operators)))


def tier_of(metric: str, kind: str) -> Tier:
    """The tier that a draft proposes for a metric in production."""
    if metric in _CRITICAL:
        return "critical"
    return "low" if kind in _LOW_KINDS or metric in _LOW_METRICS else "high"


def _samples(descriptions: Iterable[Description], policy: Policy) -> list[_Sample]:
    return [_Sample(one, policy.interpret(alert)) for one in descriptions for _, alert in hypothetical_alerts(one)]


# ── Models ──────────────────────────────────────────────────────────────────────────────────────────────────


def _model_names(descriptions: Iterable[Description]) -> dict[str, tuple[str, ...]]:
    """The projects of each model: the project's id and its name; only its id if another project has that name."""
    projects = {str(one.monitor.get("project_id") or ""): one.project for one in descriptions}
    projects = {identifier: name for identifier, name in projects.items() if identifier or name}
    found: dict[str, tuple[str, ...]] = {}
    folded = [name.casefold() for name in projects.values()]
    for identifier, stated in sorted(projects.items(), key=lambda one: (one[1].casefold(), one[0])):
        name = base = _clean(stated) or identifier
        count = 1
        while name.casefold() in {one.casefold() for one in found} or name == "defaults":
            count += 1
            name = f"{base}-{count}"
        unique = folded.count(stated.casefold()) == 1 and stated
        found[name] = tuple(dict.fromkeys(one for one in ((stated,) if unique else ()) + (identifier,) if one))
    return found


def _model(
    name: str, projects: tuple[str, ...], descriptions: Iterable[Description], slo: Mapping[str, float]
) -> DraftedModel:
    own = [one for one in descriptions if {one.project, str(one.monitor.get("project_id"))} & set(projects)]
    tags = [one.as_alert().tags for one in own]
    fields = {key: mode(stated) for key in _FIELDS if (stated := [one[key] for one in tags if one.get(key)])}
    suggested = _STAGING.search(name)
    remark = ""
    if suggested and not any(one.get("environment") for one in tags):
        remark = f"add environment: {suggested[1].casefold()} if its name means that; without it, this is production"
    regulated = any(one.get("regulated", "").casefold() in {"true", "yes"} for one in tags)
    return DraftedModel(name=name, projects=projects, fields=fields, regulated=regulated, slo=dict(slo), remark=remark)


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


def _metrics(samples: Sequence[_Sample]) -> Iterable[DraftedMetric]:
    """An entry for each metric that Tocsin does not know, with a name that no known metric has."""
    groups: dict[tuple[str, str], list[_Sample]] = {}
    for one in samples:
        if not one.alert.mapped and (key := _key(one.alert)):
            groups.setdefault(key, []).append(one)
    taken = {one.alert.metric for one in samples if one.alert.mapped}
    for (kind, key), found in groups.items():
        name = _free_name(found[0].alert, taken)
        taken.add(name)
        formula = found[0].alert.formula
        remark = f"in Arize: {formula[:120]}" if formula else ""
        if kind == "match":
            yield DraftedMetric(name, match=key, better=_better(found), remark=remark)
        else:
            yield DraftedMetric(name, names=(key,), better=_better(found), remark=remark)


def _key(alert: Alert) -> tuple[str, str] | None:
    """What identifies a metric that is not known: a name in Arize, or a condition."""
    stated = (alert.custom_metric, alert.custom_metric_id, alert.metric)
    custom, identifier, metric = (one if fold(one) else "" for one in stated)
    if custom or identifier:
        return "names", custom or identifier
    if alert.aggregation and alert.dimension:
        parts = (("aggregation", alert.aggregation), ("dimension", alert.dimension))
        return "match", " && ".join(f"alert.{name} == {format_value(value)}" for name, value in parts)
    return ("names", metric) if metric else None


def _free_name(alert: Alert, taken: set[str]) -> str:
    stated = re.sub(r"[^a-z0-9_]+", "_", snake(alert.custom_metric or alert.metric)).strip("_")[:50]
    base = stated if _IDENTIFIER.match(stated) and stated not in _RESERVED else f"metric_{stated}".rstrip("_")
    name, count = base, 1
    while name in taken or known(name) is not None:
        count += 1
        name = f"{base}_{count}"
    return name


def _better(samples: Sequence[_Sample]) -> str:
    """The direction that no monitor calls a problem; empty if they do not agree."""
    directions = {_direction(one.alert.operator) for one in samples}
    return {"greater": "lower", "less": "higher"}.get(directions.pop(), "") if len(directions) == 1 else ""


# ── Rules ───────────────────────────────────────────────────────────────────────────────────────────────────


def _objectives(samples: Sequence[_Sample], better: Mapping[str, str]) -> dict[tuple[str, str], dict[str, float]]:
    """The limits of each model, by the metric and its operator, of metrics whose every monitor states one limit.

    Args:
        samples: Alerts in production.
        better: The direction that is an improvement, of the metrics that the draft names itself.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for metric in sorted({one.alert.metric for one in samples}):
        entry = known(metric)
        own = _worsening(samples, metric, better.get(metric, entry.better if entry else ""))
        directions = {_direction(one.alert.operator) for one in own}
        numeric = all(one.alert.threshold is not None and not one.alert.dynamic_threshold for one in own)
        single = len({one.description.monitor_id for one in own}) == len(own)
        if not (numeric and single and len(directions) == 1 and _usable(metric)):
            continue
        sign = {"greater": ">", "less": "<"}.get(directions.pop())
        if sign is None:
            continue
        operator = f"{sign}=" if any("equal" in one.alert.operator for one in own) else sign
        limits: dict[str, list[float]] = {}
        for one in own:
            limits.setdefault(one.alert.model, []).append(one.alert.threshold or 0.0)
        found[metric, operator] = {model: _loosest(values, operator) for model, values in limits.items()}
    return found


def _worsening(samples: Sequence[_Sample], metric: str, better: str) -> list[_Sample]:
    """The metric's alerts about a change for the worse, if each of its monitors may send one; otherwise all.

    The other side of a range is worth no page: the rule's number leaves it to ``otherwise``.
    """
    own = [one for one in samples if one.alert.metric == metric]
    worse = [one for one in own if _direction(one.alert.operator) == {"lower": "greater", "higher": "less"}.get(better)]
    return worse if {id(one.description) for one in worse} == {id(one.description) for one in own} else own


def _loosest(values: Iterable[float], operator: str) -> float:
    """The limit that the others are beyond: a rule with it is met by every monitor that triggers."""
    return max(values) if operator.startswith("<") else min(values)


def _usable(metric: str) -> bool:
    return bool(_IDENTIFIER.match(metric)) and metric not in _RESERVED


def _direction(operator: str) -> str:
    return operator.split("_")[0]


def _rules(samples: Sequence[_Sample], operators: Mapping[str, str]) -> Iterable[DraftedRule]:
    """The rules, the loudest first; a first one for everything that is not production."""
    outside = [one for one in samples if not one.production]
    if outside:
        when = 'alert.environment != "production"'
        yield DraftedRule("not-production", when, "low", _remarks(outside, "low"))
    groups: dict[tuple[str, str], list[_Sample]] = {}
    for one in samples:
        if one.production:
            metric = one.alert.metric
            groups.setdefault(("metric", metric) if metric else ("monitor", one.description.monitor_id), []).append(one)
    names: set[str] = {"not-production", "unmapped", "otherwise"}
    drafted: list[DraftedRule] = []
    for (kind, key), found in sorted(groups.items()):
        alert = found[0].alert
        tier = tier_of(alert.metric, alert.kind)
        when = f"alert.{'metric' if kind == 'metric' else 'monitor_id'} == {format_value(key)}"
        if kind == "metric" and key in operators:
            when += f" && alert.value {operators[key]} model.slo.{key}"
        drafted.append(DraftedRule(_rule_name(alert, names), when, tier, _remarks(found, tier)))
    yield from sorted(drafted, key=lambda rule: _TIERS.index(rule.tier))


def _rule_name(alert: Alert, names: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", (alert.metric or alert.monitor).casefold()).strip("-")[:50] or "metric"
    name, count = base, 1
    while name in names:
        count += 1
        name = f"{base}-{count}"
    names.add(name)
    return name


def _remarks(samples: Sequence[_Sample], tier: Tier) -> tuple[str, ...]:
    """A line for each monitor: its limit, and how soon it notices; and what to change if that is late for a page."""
    found: dict[str, None] = {}
    for one in samples:
        (every, default), window = cadence(one.alert), one.alert.window_seconds
        late = tier == "critical" and (every > SLOW_CADENCE or (window or 0) > LONG_WINDOW)
        text = f"{_clean(one.alert.monitor)} ({one.alert.model or 'no model'})"
        text += f": {_limit(one)}, every {format_duration(every)}{default}"
        text += f" over {format_duration(window)}" if window else ""
        found[f"{text} (late)" if late else text] = None
    lines = tuple(found)
    return (_LATE, *lines) if any(line.endswith("(late)") for line in lines) else lines


def _limit(one: _Sample) -> str:
    alert = one.alert
    if alert.dynamic_threshold:
        return "a dynamic threshold"
    if alert.threshold is None:
        return "no threshold"
    return f"{alert.operator.replace('_', ' ') or 'past'} {format_value(alert.threshold)}"


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
