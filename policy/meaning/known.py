"""The metrics that Tocsin knows without a policy: their kind, unit, and which direction is better.

``ALIASES`` are the names that Arize's and Phoenix's evaluation templates, span attributes and users' custom metrics
usually have. Names are compared without case, spaces, ``_``, ``-``, ``.``, ``:``, ``/`` and brackets.
"""

import re
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", ""]
LATENCY_AGGREGATIONS = ("p50", "p95", "p99", "p99_9", "avg", "sum")


@dataclass(frozen=True, slots=True)
class KnownMetric:
    """``better`` is the direction of an improvement; empty if neither is."""

    kind: str
    unit: str
    better: Better


def fold(name: str) -> str:
    """The name as it is compared."""
    return re.sub(r"[\s_.\-()\[\]:/]+", "", name.casefold())


_RATE_LOWER = KnownMetric("performance", "ratio", "lower")
_RATE_HIGHER = KnownMetric("performance", "ratio", "higher")
_LATENCY = KnownMetric("performance", "ms", "lower")
_TOKENS = KnownMetric("cost", "tokens", "lower")
_COUNT = KnownMetric("tracing", "count", "")

KNOWN: dict[str, KnownMetric] = {
    "error_rate": _RATE_LOWER,
    "error_count": KnownMetric("performance", "count", "lower"),
    "request_count": _COUNT,
    **{f"{part}_latency_ms": _LATENCY for part in LATENCY_AGGREGATIONS},
    **{f"{part}_time_to_first_token_ms": _LATENCY for part in LATENCY_AGGREGATIONS},
    "retrieval_success_rate": _RATE_HIGHER,
    "retrieval_precision": _RATE_HIGHER,
    "answer_relevance": _RATE_HIGHER,
    "hallucination_rate": _RATE_LOWER,
    "factuality": _RATE_HIGHER,
    "groundedness": _RATE_HIGHER,
    "qa_correctness": _RATE_HIGHER,
    "toxicity": _RATE_LOWER,
    "safety": _RATE_HIGHER,
    "summarization_quality": _RATE_HIGHER,
    "code_readability": _RATE_HIGHER,
    "code_functionality": _RATE_HIGHER,
    "reference_link_correctness": _RATE_HIGHER,
    "sql_correctness": _RATE_HIGHER,
    "tool_calling": _RATE_HIGHER,
    "agent_planning": _RATE_HIGHER,
    "human_agreement": _RATE_HIGHER,
    "user_frustration": _RATE_LOWER,
    "user_negative_feedback": _RATE_LOWER,
    "user_positive_feedback": _RATE_HIGHER,
    "embedding_drift": KnownMetric("drift", "distance", "lower"),
    "feature_drift": KnownMetric("drift", "distance", "lower"),
    "token_usage": _TOKENS,
    "prompt_tokens": _TOKENS,
    "completion_tokens": _TOKENS,
    "llm_cost": KnownMetric("cost", "usd", "lower"),
    "percent_empty": KnownMetric("data_quality", "percent", "lower"),
    "cardinality": KnownMetric("data_quality", "count", ""),
    "new_values": KnownMetric("data_quality", "count", "lower"),
    "missing_values": KnownMetric("data_quality", "count", "lower"),
    "average_string_list_length": KnownMetric("data_quality", "count", ""),
    "evaluation_missing": KnownMetric("evaluation", "percent", "lower"),
}
"""By the name that rules use. Arize's performance metrics are in ``PERFORMANCE``."""

_ERRORS = ("log_loss", "rmse", "mse", "mae", "mape", "smape", "wape", "mase", "mean_error", "calibration")
_RATES_LOWER = ("false_positive_rate", "false_negative_rate", "false_negative_density")
_RATES_HIGHER = (
    "accuracy",
    "precision",
    "recall",
    "f_1",
    "sensitivity",
    "specificity",
    "auc",
    "pr_auc",
    "group_auc",
    "ndcg",
    "mrr",
    "r_squared",
    "ranking_map",
    "ranking_recall",
    "ranking_precision",
    "micro_averaged_precision",
    "micro_averaged_recall",
    "macro_averaged_precision",
    "macro_averaged_recall",
    "multi_class_precision",
    "multi_class_recall",
)
_NEUTRAL = (
    "prediction_average",
    "actuals_average",
    "recall_parity",
    "false_positive_rate_parity",
    "disparate_impact",
    "udf",
)
PERFORMANCE: dict[str, KnownMetric] = {
    **dict.fromkeys(_ERRORS, KnownMetric("performance", "", "lower")),
    **dict.fromkeys(_RATES_LOWER, _RATE_LOWER),
    **dict.fromkeys(_RATES_HIGHER, _RATE_HIGHER),
    **dict.fromkeys(_NEUTRAL, KnownMetric("performance", "", "")),
}
"""Arize's performance metrics. Every one is named after itself."""

_ALIASES: dict[str, tuple[str, ...]] = {
    "error_rate": (
        "errors rate",
        "error ratio",
        "error percent",
        "error percentage",
        "error pct",
        "error rate pct",
        "error rate percent",
        "failure rate",
        "failure ratio",
        "failed request rate",
        "llm error rate",
        "request error rate",
        "span error rate",
        "is_error",
        "error",
    ),
    "error_count": ("errors", "error_total", "failures", "number of errors"),
    "request_count": ("requests", "traffic", "span count", "trace count", "number of requests", "request volume"),
    "retrieval_success_rate": (
        "retrieval success",
        "retriever success rate",
        "retriever success",
        "retrieval hit rate",
        "retriever hit rate",
        "hit rate",
    ),
    "retrieval_precision": (
        "retrieval relevance",
        "document relevance",
        "documents relevance",
        "document relevancy",
        "rag relevance",
        "rag relevancy",
        "context relevance",
        "context precision",
        "context relevancy",
        "retriever precision",
        "precision at k",
    ),
    "answer_relevance": (
        "relevance",
        "relevancy",
        "answer relevancy",
        "response relevance",
        "response relevancy",
        "qa relevance",
        "relevance score",
        "answer quality",
    ),
    "hallucination_rate": (
        "hallucination",
        "hallucinations",
        "hallucination score",
        "hallucinated",
        "hallucination eval",
    ),
    "factuality": ("factual accuracy", "factual correctness", "factual consistency", "factually correct", "fact check"),
    "groundedness": ("faithfulness", "grounded", "context adherence", "faithful"),
    "qa_correctness": (
        "qa eval",
        "q&a",
        "q&a correctness",
        "q&a eval",
        "qa",
        "correctness",
        "answer correctness",
        "question answering correctness",
        "response correctness",
    ),
    "toxicity": ("toxic", "toxicity score", "toxicity rate", "toxic rate"),
    "safety": ("safety score", "harmlessness"),
    "summarization_quality": ("summarization", "summarisation", "summarisation quality", "summary quality"),
    "code_readability": ("readability", "code generation readability"),
    "code_functionality": ("code functionality eval", "code generation"),
    "reference_link_correctness": ("reference link", "citation", "citations", "citation correctness"),
    "sql_correctness": ("sql generation", "sql gen eval", "sql evaluation"),
    "tool_calling": ("tool calling eval", "function calling", "tool selection", "tool parameter extraction"),
    "agent_planning": ("agent path convergence", "planning", "agent convergence", "agent reflection"),
    "human_agreement": ("human vs ai", "human groundtruth vs ai", "human ground truth", "ai vs human"),
    "user_frustration": ("frustration", "user frustrated"),
    "user_negative_feedback": (
        "negative feedback",
        "negative user feedback",
        "thumbs down",
        "thumbs down rate",
        "negative feedback rate",
        "user thumbs down",
        "dislike",
    ),
    "user_positive_feedback": (
        "user feedback",
        "feedback",
        "positive feedback",
        "thumbs up",
        "thumbs up rate",
        "user satisfaction",
        "csat",
    ),
    "token_usage": (
        "tokens",
        "token count",
        "total tokens",
        "llm token count total",
        "attributes llm token count total",
        "token count total",
        "total token count",
        "llm tokens",
        "token usage total",
    ),
    "prompt_tokens": (
        "llm token count prompt",
        "attributes llm token count prompt",
        "token count prompt",
        "prompt token count",
        "input tokens",
        "gen ai usage input tokens",
    ),
    "completion_tokens": (
        "llm token count completion",
        "attributes llm token count completion",
        "token count completion",
        "completion token count",
        "output tokens",
        "gen ai usage output tokens",
    ),
    "llm_cost": (
        "cost",
        "total cost",
        "cost usd",
        "llm cost total",
        "llm cost usd",
        "llm cost prompt",
        "llm cost completion",
        "attributes llm cost total",
        "token cost",
        "spend",
        "llm spend",
        "daily cost",
        "cost per day",
        "cost per request",
    ),
    "embedding_drift": ("embeddings drift", "embedding distance"),
    "feature_drift": ("data drift", "input drift", "prediction drift", "drift"),
    "f_1": ("f1", "f1 score"),
    "evaluation_missing": ("eval failures", "evaluation failures", "eval error rate", "evaluator failure rate"),
}
_LATENCY_NAMES = ("latency", "latency ms", "duration", "duration ms", "response time", "response time ms")
_FIRST_TOKEN_NAMES = ("time to first token", "time to first token ms", "ttft", "ttft ms", "first token latency")


def _folded_aliases() -> dict[str, str]:
    found = {fold(name): name for name in (*KNOWN, *PERFORMANCE)}
    for name, aliases in _ALIASES.items():
        found |= {fold(alias): name for alias in aliases}
    for part in LATENCY_AGGREGATIONS:
        for target, names in (("latency_ms", _LATENCY_NAMES), ("time_to_first_token_ms", _FIRST_TOKEN_NAMES)):
            found |= {fold(f"{part}{one}"): f"{part}_{target}" for one in names}
            found |= {fold(f"{one}{part}"): f"{part}_{target}" for one in names}
            found |= {fold(f"{one}{part}ms"): f"{part}_{target}" for one in names}
    return found


ALIASES = _folded_aliases()
"""From a folded name to the name that rules use."""
LATENCIES = frozenset(map(fold, _LATENCY_NAMES)) | {"latencymillis", "durationmillis", "elapsedms", "endtoendlatencyms"}
FIRST_TOKENS = frozenset(map(fold, _FIRST_TOKEN_NAMES))
SECONDS = frozenset(
    map(fold, ("latency_s", "latency_sec", "latency_seconds", "duration_s", "duration_sec", "duration_seconds"))
)


def known(name: str) -> KnownMetric | None:
    """What is known of a metric by the name that rules use."""
    return KNOWN.get(name) or PERFORMANCE.get(name)
