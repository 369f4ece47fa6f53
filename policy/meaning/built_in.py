"""The built-in knowledge of Arize's own words: which metric an aggregation of a dimension is."""

import re
from dataclasses import dataclass, replace

from alerts import Alert
from alerts.metric_fields import DRIFT_METRICS, PERFORMANCE_METRICS
from alerts.values import is_percentage, snake
from policy.meaning.formula import is_times_hundred, metric_of_formula
from policy.meaning.known import ALIASES, FIRST_TOKENS, LATENCIES, LATENCY_AGGREGATIONS, SECONDS, Better, fold, known

_EVALUATIONS = frozenset({"llm_eval", "user_annotation"})
_EVALUATION_ATTRIBUTE = re.compile(
    r"^(?:attributes\.)?(?:(?:llm|session|trace|span)[._])?(?:evals?|evaluations?|annotations?)\.(.+?)(?:\.(?:label|score|explanation))?$",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(r"(?:evals?|evaluations?|evaluator|check|judge|score|label|rag|llm|is|prod|production|v\d+|\d+)$")
"""Words of an evaluation's name that do not say what it evaluates."""
_OF_PRESENCE = frozenset({"percent_empty", "cardinality", "new_values", "missing_values", "average_string_list_length"})
"""Aggregations that measure the data's shape, and not what the dimension measures."""
COUNTS = frozenset({"count", "sum", "cardinality", "new_values", "missing_values"})
"""Aggregations that are never a share of something."""
_SPANS = frozenset(
    map(fold, ("", "span_id", "context.span_id", "trace_id", "context.trace_id", "name", "span_kind", "session_id"))
)
_STATUS = frozenset(map(fold, ("status_code", "attributes.status_code", "status", "http.status_code")))
_EMBEDDING_METRICS = frozenset({"euclidean_distance", "cosine_similarity"})
_NAMED_EMBEDDING = re.compile(r"(?:^|[^a-z])(?:embedding|embeddings|vector|emb)(?:$|[^a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an alert measures. ``source`` are Arize's words for it, and ``by`` says what knew them."""

    metric: str
    source: str
    by: str
    mapped: bool = True
    kind: str = ""
    unit: str = ""
    better: Better = ""
    factor: float = 1.0
    """What value, threshold and baseline are multiplied with, to be in ``unit``."""
    complement: bool = False
    """The numbers are similarities: 1 minus each is the distance."""


def built_in_meaning(alert: Alert) -> Meaning:
    """The meaning by Arize's own words; ``mapped`` is False if nothing is known."""
    if alert.custom_metric or alert.formula or alert.custom_metric_id:
        return _custom(alert)
    if alert.aggregation in DRIFT_METRICS:
        return _drift(alert)
    if alert.aggregation in PERFORMANCE_METRICS:
        return _named(alert.aggregation, _words(alert.aggregation), "a performance metric of Arize")
    if alert.aggregation:
        return _aggregated(alert)
    return _stated(alert.metric, alert.metric, "the name in the body")


def _words(text: str) -> str:
    return text.replace("_", " ")


def _named(metric: str, source: str, by: str, *, factor: float = 1.0, kind: str = "") -> Meaning:
    """The meaning of a metric that is known, or named after itself."""
    entry = known(metric)
    if entry is None:
        return Meaning(metric, source, by, kind=kind or "performance")
    return Meaning(metric, source, by, kind=kind or entry.kind, unit=entry.unit, better=entry.better, factor=factor)


def find_name(name: str) -> tuple[str, float]:
    """The known metric that a name stands for, and the factor to its unit; empty if none is known."""
    metric = ALIASES.get(fold(name), "")
    percentage = is_percentage(name)
    if not metric and percentage:
        metric = ALIASES.get(fold(re.sub(r"(?i)(?<![a-z])(?:pct|percentage|percent)(?![a-z])|%|_pct$", "", name)), "")
    entry = known(metric)
    return metric, 0.01 if percentage and entry is not None and entry.unit == "ratio" else 1.0


def _stated(name: str, source: str, by: str) -> Meaning:
    metric, factor = find_name(name)
    if metric:
        return _named(metric, source, by, factor=factor)
    return Meaning(snake(name), source, by, mapped=False, unit="percent" if is_percentage(name) else "")


def _custom(alert: Alert) -> Meaning:
    """A custom metric, by its name or else by its formula."""
    name = alert.custom_metric
    by_name = _stated(name, f"custom metric {name!r}", "the custom metric's name")
    metric = metric_of_formula(alert.formula)
    factor = (
        0.01
        if metric and (entry := known(metric)) and entry.unit == "ratio" and is_times_hundred(alert.formula)
        else 1.0
    )
    if by_name.mapped:
        # A formula of the same metric shows whether it computes a share or a percentage; a name only suggests it.
        return replace(by_name, factor=factor) if metric == by_name.metric else by_name
    if metric:
        return _named(metric, f"custom metric {name!r}", "the custom metric's formula", factor=factor)
    if not name and not alert.formula:
        stated = alert.metric if alert.metric != "udf" else ""
        return _stated(stated, f"custom metric {alert.custom_metric_id}", "its id only")
    return by_name


def _drift(alert: Alert) -> Meaning:
    source = f"{_words(alert.aggregation)} of {alert.dimension or _words(alert.dimension_category) or 'the model'}"
    if alert.aggregation in _EMBEDDING_METRICS:  # Arize has them for embeddings only
        embedding, by = True, "a drift metric of embeddings"
    elif alert.dimension_type:
        embedding, by = alert.dimension_type == "embedding", f"the data type {alert.dimension_type}"
    else:
        embedding = bool(_NAMED_EMBEDDING.search(snake(alert.dimension)))
        by = "the dimension's name" if embedding else "a drift metric of Arize"
    entry = known("embedding_drift" if embedding else "feature_drift")
    assert entry is not None
    return Meaning(
        "embedding_drift" if embedding else "feature_drift",
        source,
        by,
        kind=entry.kind,
        unit=entry.unit,
        better=entry.better,
        # A monitor that triggers below its limit watches the similarity; the other way round, a distance.
        complement=alert.aggregation == "cosine_similarity" and alert.operator.startswith("less"),
    )


def _aggregated(alert: Alert) -> Meaning:
    """An aggregation of a dimension: a data quality or tracing monitor."""
    aggregation, dimension = alert.aggregation, alert.dimension
    source = f"{_words(aggregation)} of {dimension or _words(alert.dimension_category) or 'spans'}"
    if alert.dimension_category:
        source += f" ({_words(alert.dimension_category)})" if dimension else ""
    evaluation = _evaluation(alert)
    if evaluation and aggregation == "percent_empty":
        return _named("evaluation_missing", source, "an evaluation without results")
    if aggregation in _OF_PRESENCE:
        return _named(aggregation, source, "a data quality metric of Arize")
    if evaluation:
        return _evaluated(evaluation, aggregation, source)
    folded = fold(re.sub(r"^attributes\.", "", dimension))
    if folded in LATENCIES | SECONDS and aggregation in LATENCY_AGGREGATIONS:
        factor = 1000.0 if folded in SECONDS else 1.0
        return _named(f"{aggregation}_latency_ms", source, "a latency in milliseconds", factor=factor)
    if folded in FIRST_TOKENS and aggregation in LATENCY_AGGREGATIONS:
        return _named(f"{aggregation}_time_to_first_token_ms", source, "a latency in milliseconds")
    if aggregation == "count" and folded in _SPANS | _STATUS:
        errors = any("error" in value.casefold() for key, value in alert.segment.items() if fold(key) in _STATUS)
        errors = errors or any(fold(value) == "ok" for key, value in alert.excluded.items() if fold(key) in _STATUS)
        return _named("error_count" if errors else "request_count", source, "a count of spans")
    metric, factor = find_name(dimension) if aggregation != "standard_deviation" else ("", 1.0)
    entry = known(metric)
    counts_share = aggregation in COUNTS and entry is not None and entry.unit == "ratio"
    if metric and aggregation != "count" and not counts_share:
        return _named(metric, source, "the dimension's name", factor=factor)
    name = snake(f"{aggregation} {dimension}") if dimension else aggregation
    unit = "count" if aggregation == "count" else "percent" if is_percentage(dimension) else ""
    return Meaning(name, source, "nothing that Tocsin knows", mapped=False, unit=unit)


def _evaluation(alert: Alert) -> str:
    """The name of the evaluation or annotation that is aggregated; empty for any other dimension."""
    attribute = _EVALUATION_ATTRIBUTE.match(alert.dimension)
    if attribute:
        return attribute[1]
    return alert.dimension if alert.dimension_category in _EVALUATIONS else ""


def _evaluated(name: str, aggregation: str, source: str) -> Meaning:
    """An evaluation is named after itself, and Arize's and Phoenix's templates after what they evaluate."""
    metric, factor = find_name(name)
    if not metric and (core := "_".join(word for word in re.split(r"[_.]", snake(name)) if not _NEUTRAL.match(word))):
        metric, factor = find_name(core)
    if aggregation in COUNTS:
        return Meaning(f"{metric or snake(name)}_count", source, "a count of evaluations", mapped=False, unit="count")
    if aggregation == "standard_deviation":
        return Meaning(f"{metric or snake(name)}_deviation", source, "nothing that Tocsin knows", mapped=False)
    by = "a known evaluation" if metric else "the evaluation's own name"
    return _named(metric or snake(name), source, by, factor=factor)
