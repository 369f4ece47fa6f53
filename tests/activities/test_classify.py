"""Workers of 1.0.0 and their successors decide for each other's incidents during an upgrade."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.classify import Classifier
from activities.contracts import Classification, ClassifyRequest
from activities.describing import AlertDescriber
from alerts import Alert, normalise
from integrations.arize.description_cache import DescriptionCache
from integrations.base.registry import destination_types
from policy import Decision, Policy, load_policy
from tests.gateway.conftest import POLICY

ALERT = normalise({"monitor_name": "errors", "monitor_id": "m-1", "metric": "error_rate", "metric_value": 0.3})


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_policy(tmp_path / "policy.yaml", destination_types())


async def classify(policy: Policy, folder: Path, request: ClassifyRequest) -> Classification | Decision:
    cache = DescriptionCache(f"sqlite:///{folder}/gateway.db")
    classifier = Classifier(lambda: policy, AlertDescriber(cache, None))
    try:
        return await ActivityEnvironment().run(classifier.classify, request)
    finally:
        cache.close()


async def test_workflow_of_1_0_0_receives_decision_alone(policy: Policy, tmp_path: Path) -> None:
    request = ClassifyRequest.model_validate({"alerts": [ALERT], "now": datetime.now(UTC)})
    decision = await classify(policy, tmp_path, request)
    assert isinstance(decision, Decision)
    assert decision.rule == "all"
    assert Classification.model_validate_json(decision.model_dump_json()) == Classification(decision=decision)


async def test_workflow_receives_interpreted_alerts(policy: Policy, tmp_path: Path) -> None:
    request = ClassifyRequest(alerts=(ALERT,), now=datetime.now(UTC), describe=True)
    result = await classify(policy, tmp_path, request)
    assert isinstance(result, Classification)
    (alert,) = result.alerts
    assert (alert.interpreted, alert.environment) == (policy.digest, "production")
    assert alert.undescribed == "its project's name: ARIZE_API_KEY is not set"
    assert result.undescribed == (), "there is nothing to ask with later"


async def test_triggered_alert_decides_beside_cleared_one(policy: Policy, tmp_path: Path) -> None:
    cleared = Alert(
        monitor="m", monitor_id="m-1", metric="error_rate", status="cleared", value=0.3, model="plain-model"
    )
    other = Alert(monitor="m", monitor_id="m-1", metric="other", value=0.3, model="plain-model")
    result = await classify(
        policy, tmp_path, ClassifyRequest(alerts=(cleared, other), now=datetime.now(UTC), describe=True)
    )
    assert isinstance(result, Classification)
    assert result.decision.rule != "all"
