"""What an alert measures: from Arize's words to the names that rules use."""

from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, normalise
from policy import Policy
from policy.meaning.built_in import built_in_meaning
from tests.policy.policies import BASE, NOW, load, problems

METRICS = """\
models:
  defaults: {environment: production}
  support-chatbot:
    team: support
    environment: staging
    arize: {projects: [chat, "TW9kZWw6NTAwMDphWjUwMDA="]}
  Bot: {}
metrics:
  error_rate: {names: ["LLM Errors", llm_errors], unit: ratio, better: lower}
  embedding_drift: {match: 'alert.kind == "drift" && alert.dimension.endsWith("_topic")', unit: distance}
  deflection: {names: [retriever_ok], kind: business, unit: ratio, better: higher}
  spend: {match: 'alert.dimension.startsWith("llm.cost")', kind: cost, unit: eur}
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load(tmp_path_factory.mktemp("plain"), BASE)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load(tmp_path_factory.mktemp("metrics"), BASE + METRICS)


def monitor(metric: str = "", category: str = "", dimension: str = "", **more: Any) -> Alert:
    place = {"dimension": {"category": category, "name": dimension}} if category else {}
    return normalise({"id": "m1", "name": "m", "metric": metric, **place, **more})


@pytest.mark.parametrize(
    ("metric", "category", "dimension", "name", "kind", "unit"),
    [
        ("P95", "SPAN_ATTRIBUTE", "latency_ms", "p95_latency_ms", "performance", "ms"),
        ("P99", "SPAN_ATTRIBUTE", "attributes.latency_ms", "p99_latency_ms", "performance", "ms"),
        ("P99_9", "SPAN_ATTRIBUTE", "Latency", "p99_9_latency_ms", "performance", "ms"),
        ("AVG", "SPAN_ATTRIBUTE", "duration_ms", "avg_latency_ms", "performance", "ms"),
        ("P95", "SPAN_ATTRIBUTE", "time_to_first_token", "p95_time_to_first_token_ms", "performance", "ms"),
        ("SUM", "SPAN_ATTRIBUTE", "llm.token_count.total", "token_usage", "cost", "tokens"),
        ("AVG", "SPAN_ATTRIBUTE", "attributes.llm.token_count.prompt", "prompt_tokens", "cost", "tokens"),
        ("SUM", "SPAN_ATTRIBUTE", "llm.cost.total", "llm_cost", "cost", "usd"),
        ("COUNT", "SPAN_ATTRIBUTE", "context.span_id", "request_count", "tracing", "count"),
        ("AVG", "LLM_EVAL", "Hallucination", "hallucination_rate", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Q&A Correctness", "qa_correctness", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Toxicity", "toxicity", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Summarization", "summarization_quality", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Relevance", "answer_relevance", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Document Relevance", "retrieval_precision", "performance", "ratio"),
        ("AVG", "LLM_EVAL", "Brand Voice", "brand_voice", "performance", ""),
        ("AVG", "SPAN_ATTRIBUTE", "eval.groundedness.label", "groundedness", "performance", "ratio"),
        ("AVG", "SPAN_ATTRIBUTE", "annotation.thumbs_down.score", "user_negative_feedback", "performance", "ratio"),
        ("AVG", "USER_ANNOTATION", "User Feedback", "user_positive_feedback", "performance", "ratio"),
        ("PERCENT_EMPTY", "LLM_EVAL", "Relevance", "evaluation_missing", "evaluation", "percent"),
        ("COUNT", "LLM_EVAL", "Toxicity", "toxicity_count", "tracing", "count"),
        ("PSI", "FEATURE_LABEL", "employment", "feature_drift", "drift", "distance"),
        ("KS", "PREDICTIONS", "score", "feature_drift", "drift", "distance"),
        ("EUCLIDEAN_DISTANCE", "FEATURE_LABEL", "question", "embedding_drift", "drift", "distance"),
        ("PSI", "FEATURE_LABEL", "question_embedding", "embedding_drift", "drift", "distance"),
        ("PERCENT_EMPTY", "FEATURE_LABEL", "plan", "percent_empty", "data_quality", "percent"),
        ("CARDINALITY", "TAG", "plan", "cardinality", "data_quality", "count"),
        ("RECALL", "", "", "recall", "performance", "ratio"),
        ("LOG_LOSS", "", "", "log_loss", "performance", ""),
        ("P95", "SPAN_ATTRIBUTE", "queue_depth", "p95_queue_depth", "tracing", ""),
    ],
)
def test_built_in_meaning(
    plain: Policy, metric: str, category: str, dimension: str, name: str, kind: str, unit: str
) -> None:
    stated = {"SPAN_ATTRIBUTE": "TRACING", "LLM_EVAL": "TRACING", "USER_ANNOTATION": "TRACING"}.get(category, "")
    alert = plain.interpret(monitor(metric, category, dimension, **({"type": stated} if stated else {})))
    assert (alert.metric, alert.kind, alert.unit) == (name, kind, unit)


def test_data_type_decides_between_embedding_and_feature_drift(plain: Policy) -> None:
    def metric(name: str, data_type: str) -> str:
        place = {"category": "FEATURE_LABEL", "name": name, "dataType": data_type}
        return plain.interpret(normalise({"id": "m", "metric": "PSI", "type": "DRIFT", "dimension": place})).metric

    assert metric("question", "EMBEDDING") == "embedding_drift"
    assert metric("question_embedding", "STRING") == "feature_drift"


@pytest.mark.parametrize(
    ("name", "formula", "metric"),
    [
        ("Error Rate", "", "error_rate"),
        ("failure-rate", "", "error_rate"),
        ("bad", "SELECT COUNT(*) FILTER (WHERE status_code = 'ERROR') / COUNT(*) FROM model", "error_rate"),
        ("bad", "SELECT COUNT(*) FILTER (WHERE status_code = 'ERROR') FROM model", "bad"),
        ("slow", "SELECT APPROX_QUANTILE(latency_ms, 0.95) FROM model", "p95_latency_ms"),
        ("made up", "SELECT COUNT(*) FILTER (WHERE label = 'hallucinated') / COUNT(*) FROM m", "hallucination_rate"),
        ("money", 'SELECT SUM("attributes.llm.cost.total") FROM model', "llm_cost"),
        ("Basket Size", "", "basket_size"),
    ],
)
def test_custom_metric_by_name_then_by_formula(plain: Policy, name: str, formula: str, metric: str) -> None:
    assert plain.interpret(monitor(custom_metric_name=name, formula=formula)).metric == metric


def test_custom_metric_of_which_only_the_id_is_known_is_unmapped(plain: Policy) -> None:
    alert = plain.interpret(monitor(custom_metric_id="Q3VzdG9t", type="CUSTOM_METRIC"))
    assert (alert.metric, alert.mapped) == ("", False)


@pytest.mark.parametrize(
    ("fields", "value", "threshold"),
    [
        ({"custom_metric_name": "Error Rate %"}, 0.07, 0.05),
        ({"custom_metric_name": "error_rate_pct"}, 0.07, 0.05),
        ({"metric": "AVG", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "duration_seconds"}}, 7.0, 5.0),
        ({"metric": "P95", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "duration_seconds"}}, 7000.0, 5000.0),
        ({"metric": "PERCENT_EMPTY", "dimension": {"category": "TAG", "name": "x"}}, 7.0, 5.0),
        ({"metric": "queue_percent"}, 7.0, 5.0),
    ],
)
def test_numbers_are_in_the_unit_of_the_metric(
    plain: Policy, fields: dict[str, Any], value: float, threshold: float
) -> None:
    factor = 1000 if fields.get("metric") == "AVG" else 1
    alert = plain.interpret(normalise({"id": "m", **fields, "latest_computed_value": 7, "threshold": 5}))
    assert (alert.value, alert.threshold) == pytest.approx((value * factor, threshold * factor))
    assert alert.change == pytest.approx(0.4)
    assert alert.as_read().value == 7


def test_percent_sign_and_a_percent_name_are_one_percentage(plain: Policy) -> None:
    assert plain.interpret(monitor(custom_metric_name="error_rate_pct", value="7 %")).value == pytest.approx(0.07)
    assert plain.interpret(monitor("error_rate", value="7 %")).value == pytest.approx(0.07)


def test_similarity_below_its_limit_is_a_distance_above_it(plain: Policy) -> None:
    threshold = {"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": 0.8}
    alert = plain.interpret(monitor("COSINE_SIMILARITY", "FEATURE_LABEL", "q", value=0.3, threshold=threshold))
    assert (alert.value, alert.threshold, alert.operator) == (0.7, pytest.approx(0.2), "greater_than")
    assert alert.change == pytest.approx(2.5)
    distance = {**threshold, "operator": "GREATER_THAN"}
    assert plain.interpret(monitor("COSINE_SIMILARITY", "TAG", "q", value=0.9, threshold=distance)).value == 0.9


@pytest.mark.parametrize(
    ("metric", "stated", "change"),
    [("answer_relevance", 0.35, -0.35), ("error_rate", -0.35, 0.35), ("request_count", 0.35, 0.35)],
)
def test_better_gives_the_sign_of_a_stated_change(plain: Policy, metric: str, stated: float, change: float) -> None:
    assert plain.interpret(monitor(metric, change=stated)).change == change
    assert plain.interpret(monitor(metric, change=stated, status="CLEARED")).change == stated


def test_computed_change_keeps_its_sign(plain: Policy) -> None:
    assert plain.interpret(monitor("answer_relevance", value=0.9, baseline=0.6)).change == 0.5


@pytest.mark.parametrize(
    ("fields", "metric", "kind", "unit"),
    [
        ({"custom_metric_name": "llm errors"}, "error_rate", "performance", "ratio"),
        ({"metric": "AVG", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "retriever_ok"}}, "deflection",
         "business", "ratio"),
        ({"metric": "PSI", "type": "DRIFT", "dimension": {"category": "TAG", "name": "a_topic"}}, "embedding_drift",
         "drift", "distance"),
        ({"metric": "SUM", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "llm.cost.total"}}, "spend", "cost",
         "eur"),
        ({"metric": "COUNT", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "llm_errors"}}, "count_llm_errors",
         "", "count"),
        ({"metric": "PERCENT_EMPTY", "dimension": {"category": "TAG", "name": "llm_errors"}}, "percent_empty",
         "data_quality", "percent"),
    ],
)  # fmt: skip
def test_metrics_of_the_policy_win(policy: Policy, fields: dict[str, Any], metric: str, kind: str, unit: str) -> None:
    alert = policy.interpret(normalise({"id": "m1", **fields}))
    assert (alert.metric, alert.kind, alert.unit) == (metric, kind, unit)


@pytest.mark.parametrize(
    ("fields", "model", "environment"),
    [
        ({"project_name": "Chat"}, "support-chatbot", "staging"),
        ({"project_id": "TW9kZWw6NTAwMDphWjUwMDA="}, "support-chatbot", "staging"),
        ({"project_name": "bot"}, "Bot", "production"),
        ({"model": "BOT"}, "Bot", "production"),
        ({"model": "Bot", "project_name": "chat"}, "Bot", "production"),
        ({"project_name": "other"}, "other", "production"),
        ({"project_name": "chat", "tags": ["environment:prod"]}, "support-chatbot", "production"),
        ({"project_name": "chat", "environment": "tracing"}, "support-chatbot", "staging"),
        ({"environment": "Stage"}, "", "staging"),
        ({"environment": "qa"}, "", "qa"),
    ],
)
def test_model_and_environment_come_from_the_catalogue(
    policy: Policy, fields: dict[str, Any], model: str, environment: str
) -> None:
    alert = policy.interpret(monitor("RECALL", **fields))
    assert (alert.model, alert.environment) == (model, environment)


def test_kind_by_tag_wins(policy: Policy) -> None:
    tagged = monitor("P95", "SPAN_ATTRIBUTE", "latency_ms", tags=["kind:business"])
    assert policy.interpret(tagged).kind == "business"


def test_interpretation_can_be_repeated_by_another_policy(plain: Policy, policy: Policy) -> None:
    read = monitor("SUM", "SPAN_ATTRIBUTE", "llm.cost.total", project_name="chat", latest_computed_value=9)
    once = plain.interpret(read)
    assert plain.interpret(once) is once
    assert policy.interpret(once) == policy.interpret(read)
    assert once.as_read() == read


def test_tags_fill_what_the_catalogue_does_not_state(policy: Policy, tmp_path: Path) -> None:
    tags = ["team:legal", "owner:chat", "runbook:https://wiki.example.com/x"]
    decision = policy.decide(monitor("RECALL", tags=tags), NOW)
    assert (decision.team, decision.owner, decision.runbook) == ("legal", "chat", "https://wiki.example.com/x")
    assert policy.decide(monitor("RECALL", project_name="chat", tags=tags), NOW).team == "support"
    rules = "rules: [{name: legal, when: 'model.team == \"legal\"', tier: critical, notify_owner: true}]\n"
    named = load(tmp_path, BASE + "models: {x: {team: legal}}\n" + rules)
    decided = named.decide(monitor("RECALL", tags=tags), NOW)
    assert decided.rule == "legal"
    assert [target.name for target in decided.steps[0].notify] == ["pager", "chat"]


def test_explain_lists_each_step(policy: Policy) -> None:
    steps = policy.interpretation(monitor("P95", "SPAN_ATTRIBUTE", "latency_ms", project_name="chat", type="TRACING"))
    assert [(step.field, step.said, step.means, step.by) for step in steps] == [
        ("model", "project chat", "support-chatbot", "models.support-chatbot.arize.projects"),
        ("environment", "none stated", "staging", "models.support-chatbot.environment"),
        ("metric", "p95 of latency_ms (span attribute)", "p95_latency_ms", "a latency in milliseconds"),
        ("kind", "tracing", "performance", "what the metric measures"),
    ]


def test_explain_names_tags_and_excluded_data(policy: Policy) -> None:
    tagged = monitor(
        "RECALL",
        tags=["environment:stg", "kind:business"],
        filters=[{"dimension": {"name": "traffic"}, "operator": "NOT_EQUALS", "values": ["probe"]}],
    )
    steps = [(step.field, step.said, step.means) for step in policy.interpretation(tagged)]
    assert ("environment", "environment:stg", "staging") in steps
    assert ("kind", "kind:business", "business") in steps
    assert ("excluded", "not traffic: probe", "no segment") in steps


def test_explain_credits_what_knew_the_metric(policy: Policy) -> None:
    by = {step.field: step.by for step in policy.interpretation(monitor(custom_metric_name="Failure Rate"))}
    assert by["metric"] == "the custom metric's name"
    by = {step.field: step.by for step in policy.interpretation(monitor(custom_metric_name="LLM Errors"))}
    assert by["metric"] == "metrics.error_rate"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "models: {a: {arize: {projects: [x]}}, b: {arize: {projects: [X]}}}\n",
            "17:62: models.b.arize.projects[0]: 'X' is a project of a already",
        ),
        (
            "models: {defaults: {arize: {projects: [x]}}}\n",
            "17:21: models.defaults.arize: a project belongs to one model; name it there, not in the defaults",
        ),
        (
            "metrics: {a: {names: [x]}, b: {names: [X]}}\n",
            "17:40: metrics.b.names[0]: 'X' is a name of a already: the first counts",
        ),
        (
            "metrics: {a: {match: 'model.team == \"x\"'}}\nmodels: {m: {team: x}}\n",
            "17:15: metrics.a.match: only alert.* says what is measured, not model.team",
        ),
        (
            "metrics: {a: {match: 'alert.dimensoin == \"x\"'}}\n",
            "17:23: metrics.a.match: alert.dimensoin is unknown: did you mean dimension?",
        ),
        ("metrics: {a: {unit: hours}}\n", "17:15: metrics.a.unit: found 'hours'; allowed are "),
        ("intake: {describe: {wait: 1m}}\n", "17:21: intake.describe.wait: "),
    ],
)
def test_errors_name_the_place(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, BASE + text)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("filters", "metric"),
    [
        ({"excluded": {"status_code": "OK"}}, "error_count"),
        ({"excluded": {"attributes.status_code": "ok"}}, "error_count"),
        ({"segment": {"status_code": "ERROR"}}, "error_count"),
        ({"excluded": {"status_code": "ERROR"}}, "request_count"),
        ({"excluded": {"traffic": "ok"}}, "request_count"),
        ({"segment": {"status_code": "OK"}}, "request_count"),
        ({}, "request_count"),
    ],
    ids=str,
)
def test_count_without_the_well_is_a_count_of_errors(filters: dict[str, Any], metric: str) -> None:
    counted = Alert(monitor="m", aggregation="count", dimension="span_id", **filters)
    assert built_in_meaning(counted).metric == metric
