"""What a custom metric's formula measures, for a metric whose name says nothing.

Source of the language: Arize's query language, as ``SELECT COUNT(*) FILTER (WHERE status_code = 'ERROR') / COUNT(*)``.
Only forms that leave no doubt are recognised.
"""

import re

_QUANTILES = {"0.5": "p50", "0.50": "p50", "0.95": "p95", "0.99": "p99", "0.999": "p99_9"}
_LATENCY = r"(?:attributes\.)?(?:latency_ms|latency|duration_ms)"
_ERROR = re.compile(
    r"status_code\W{1,4}=\W{0,3}error|status_code\W{0,2}\s*=\s*'error'|is_error|\berror\b.*=\s*(?:true|1)",
    re.IGNORECASE,
)
_RATIO = re.compile(
    r"count\s*\([^)]*\)\s*(?:filter\s*\([^)]*\)\s*)?(?:\*\s*[\d.]+\s*)?/\s*(?:nullif\s*\(\s*)?count\s*\(|avg\s*\(\s*case\b",
    re.IGNORECASE,
)
_LABELS = (
    ("hallucination_rate", re.compile(r"hallucinat\w*", re.IGNORECASE)),
    ("toxicity", re.compile(r"\btoxic\w*", re.IGNORECASE)),
    ("user_negative_feedback", re.compile(r"thumbs[_ ]?down|negative[_ ]feedback", re.IGNORECASE)),
)


def metric_of_formula(formula: str) -> str:
    """The metric's name; empty if the formula is not one of the known forms."""
    text = " ".join(formula.split())
    if not text:
        return ""
    quantile = re.search(
        rf"(?:approx_quantile|approx_percentile|percentile|quantile)\w*\s*\(\s*\"?{_LATENCY}\"?[^)]*?(0\.\d+)",
        text,
        re.IGNORECASE,
    )
    if quantile and quantile[1] in _QUANTILES:
        return f"{_QUANTILES[quantile[1]]}_latency_ms"
    if re.search(rf"avg\s*\(\s*\"?{_LATENCY}\"?\s*\)", text, re.IGNORECASE) and "/" not in text:
        return "avg_latency_ms"
    if _RATIO.search(text):
        if _ERROR.search(text):
            return "error_rate"
        return next((name for name, pattern in _LABELS if pattern.search(text)), "")
    if re.search(r"(?:sum|avg)\s*\(\s*\"?(?:attributes\.)?(?:llm\.)?cost\b", text, re.IGNORECASE):
        return "llm_cost"
    if re.search(r"(?:sum|avg)\s*\(\s*\"?(?:attributes\.)?llm\.token_count\.total", text, re.IGNORECASE):
        return "token_usage"
    return ""


def is_times_hundred(formula: str) -> bool:
    """Whether a share is computed as a percentage."""
    return bool(re.search(r"\*\s*100(?:\.0*)?(?![\d.])|(?<![\d.])100(?:\.0*)?\s*\*", formula))
