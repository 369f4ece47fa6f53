"""The clients of the ``arize`` SDK against the stand-in tenant: so that it is not only we who believe it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.arize.conftest import Endpoint
from tests.vendors import ArizeTenant, Fault
from tests.vendors.arize.every_kind import monitors_of_every_kind
from tests.vendors.arize.sdk import generated


@pytest.fixture
def client(arize_tenant: ArizeTenant) -> Any:
    from arize import ArizeClient

    host = f"127.0.0.1:{arize_tenant.port}"
    return ArizeClient(api_key=arize_tenant.key, api_host=host, api_scheme="http", enable_caching=False)


@pytest.fixture
def monitors(arize_tenant: ArizeTenant) -> Any:
    """The SDK's generated client of monitors, which its public client does not offer yet."""
    api_client = generated()
    configuration = api_client.Configuration(host=arize_tenant.base_url, access_token=arize_tenant.key)
    return api_client.MonitorsApi(api_client.ApiClient(configuration))


def _names(response: Any) -> list[str]:
    return [one.actual_instance.name for one in response.monitors]


def test_sdk_reads_every_kind_of_monitor(arize_tenant: ArizeTenant, monitors: Any) -> None:
    project = arize_tenant.add_project("chatbot")
    metric = arize_tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    sent = [arize_tenant.put_monitor(one) for one in monitors_of_every_kind(project["id"], metric["id"])]
    assert len(sent) > 150

    received: dict[str, Any] = {}
    cursor = None
    while True:
        page = monitors.list_monitors(limit=100, cursor=cursor)
        received |= {one.actual_instance.id: one.actual_instance for one in page.monitors}
        if not page.pagination.has_more:
            break
        cursor = page.pagination.next_cursor
    assert set(received) == {one["id"] for one in sent}
    for one in sent:
        found = received[one["id"]]
        assert (found.type, found.threshold.actual_instance.type) == (one["type"], one["threshold"]["type"])
        assert one["type"] == "CUSTOM_METRIC" or found.metric.value == one["metric"]


def test_sdk_reads_the_sample_tenant(arize_tenant: ArizeTenant, monitors: Any, client: Any) -> None:
    for case in arize_tenant.seed():
        found = monitors.get_monitor(case["monitor"]["id"]).actual_instance
        assert found.latest_computed_value == case["monitor"]["latest_computed_value"]
        assert client.projects.get(project=found.project_id).name == case["project"]
        tags = monitors.list_monitor_tags(found.id).tags
        assert [tag.name for tag in tags] == case["tags"]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["errors", "employment drift", "accuracy", "empty answers", "slow answers"]),
    ({"name": "ANSWERS"}, ["empty answers", "slow answers"]),
    ({"project_name": "underwriting"}, ["employment drift", "accuracy"]),
    ({"project_name": "under"}, []),
    ({"space_name": "mod"}, ["errors", "employment drift", "accuracy", "empty answers", "slow answers"]),
    ({"space_name": "other"}, []),
    ({"type": "DATA_QUALITY"}, ["empty answers"]),
    ({"status": "TRIGGERED"}, ["errors", "slow answers"]),
    ({"notifications_enabled": False}, ["accuracy"]),
    ({"dimension_category": "SPAN_ATTRIBUTE"}, ["slow answers"]),
    ({"dimension_name": "employment"}, ["employment drift"]),
    ({"data_quality_metric": "P95"}, ["slow answers"]),
    ({"data_quality_metric": "PERCENT_EMPTY"}, ["empty answers"]),
    ({"performance_metric": "ACCURACY"}, ["accuracy"]),
    ({"drift_metric": "PSI"}, ["employment drift"]),
    ({"drift_metric": "PSI", "type": "TRACING"}, []),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=lambda value: str(value)[:40])
def test_list_filters_narrow_the_monitors(
    arize_tenant: ArizeTenant, monitors: Any, filters: dict[str, Any], expected: list[str]
) -> None:
    feature = {"category": "FEATURE_LABEL", "name": "employment"}
    percent_empty: dict[str, Any] = {"metric": "PERCENT_EMPTY", "dimension": {"category": "PREDICTIONS"}}
    underwriting: dict[str, Any] = {
        "project": "underwriting",
        "threshold": {"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": 1},
    }
    arize_tenant.add_monitor(name="slow answers", status="TRIGGERED")
    arize_tenant.add_monitor(name="empty answers", type="DATA_QUALITY", **percent_empty)
    arize_tenant.add_monitor(
        name="accuracy", type="PERFORMANCE", metric="ACCURACY", notifications_enabled=False, **underwriting
    )
    arize_tenant.add_monitor(name="employment drift", type="DRIFT", metric="PSI", dimension=feature, **underwriting)
    chatbot = arize_tenant.project("chatbot")["id"]
    metric = arize_tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=chatbot)
    arize_tenant.add_monitor(name="errors", type="CUSTOM_METRIC", custom_metric_id=metric["id"], status="TRIGGERED")

    assert _names(monitors.list_monitors(**filters)) == expected
    assert _names(monitors.list_monitors(custom_metric_id=metric["id"])) == ["errors"]
    assert len(_names(monitors.list_monitors(project_id=chatbot))) == 3
    assert len(_names(monitors.list_monitors(space_id=arize_tenant.space_id))) == 5


def test_cursor_is_stable_under_new_monitors(arize_tenant: ArizeTenant, monitors: Any) -> None:
    for number in range(5):
        arize_tenant.add_monitor(name=f"monitor {number}")
    first = monitors.list_monitors(limit=2)
    arize_tenant.add_monitor(name="added between two pages")
    second = monitors.list_monitors(limit=2, cursor=first.pagination.next_cursor)
    third = monitors.list_monitors(limit=2, cursor=second.pagination.next_cursor)
    assert _names(first) + _names(second) + _names(third) == [f"monitor {number}" for number in (4, 3, 2, 1, 0)]
    assert third.pagination.next_cursor is None


def test_ids_are_refused_as_arize_refuses(arize_tenant: ArizeTenant, monitors: Any) -> None:
    refused = generated().exceptions.ApiException
    project = arize_tenant.add_project("chatbot")
    for identifier, status in (("no-id", 400), (project["id"], 400), ("TW9uaXRvcjo5OmFaOQ==", 404)):
        with pytest.raises(refused) as refusal:
            monitors.get_monitor(identifier)
        assert refusal.value.status == status
    with pytest.raises(refused) as refusal:
        monitors.list_monitors(project_id="TW9kZWw6OTphWjk=")
    assert refusal.value.status == 404


def test_tags_are_created_attached_and_detached(arize_tenant: ArizeTenant, monitors: Any) -> None:
    api_client = generated()
    models, refused = api_client.models, api_client.exceptions.ApiException
    tags = api_client.TagsApi(monitors.api_client)
    projects = api_client.ProjectsApi(monitors.api_client)
    monitor = arize_tenant.add_monitor(tags=["team:core"])
    created = tags.create_tag(models.CreateTagRequest(name="environment:staging", space_id=arize_tenant.space_id))
    with pytest.raises(refused) as refusal:
        tags.create_tag(models.CreateTagRequest(name="Environment:Staging", space_id=arize_tenant.space_id))
    assert refusal.value.status == 409

    monitors.add_monitor_tags(monitor["id"], models.AddTagsRequest(tag_ids=[created.id]))
    attached = monitors.add_monitor_tags(monitor["id"], models.AddTagsRequest(tag_ids=[created.id]))
    assert {tag.name for tag in attached.tags} == {"team:core", "environment:staging"}
    projects.add_project_tags(monitor["project_id"], models.AddTagsRequest(tag_ids=[created.id]))
    assert [tag.name for tag in projects.list_project_tags(monitor["project_id"]).tags] == ["environment:staging"]

    removed = monitors.remove_monitor_tags(
        monitor["id"], models.RemoveTagsRequest(tag_ids=[created.id, "VGFnOjE6YVox"])
    )
    assert (removed.completed, removed.deleted, removed.not_deleted) == (False, [created.id], ["VGFnOjE6YVox"])
    tags.delete_tag(created.id)
    assert projects.list_project_tags(monitor["project_id"]).tags == []


def test_organizations_spaces_and_projects_are_found_by_name(arize_tenant: ArizeTenant, client: Any) -> None:
    arize_tenant.add_project("chatbot")
    arize_tenant.add_project("chatbot-staging")
    assert [one.name for one in client.organizations.list().organizations] == ["Acme"]
    organization = client.organizations.get(organization="Acme")
    spaces = client.spaces.list(organization_id=organization.id).spaces
    assert [(one.name, one.organization_id) for one in spaces] == [("Models", organization.id)]
    assert client.projects.get(project="chatbot", space="Models").name == "chatbot"
    assert len(client.projects.list(space="Models", name="chat").projects) == 2


def test_webhook_lifecycle_by_the_sdk(arize_tenant: ArizeTenant, client: Any, endpoint: Endpoint) -> None:
    from arize.webhooks.types import WebhookAuthType

    refused = generated().exceptions.ApiException
    hmac = client.webhooks.create(
        organization="Acme", name="tocsin", url=f"{endpoint.base_url}/hook", auth_type=WebhookAuthType.HMAC_SHA256
    )
    assert hmac.signing_secret.startswith("whsec_")
    assert hmac.signing_secret_hint == f"whsec_…{hmac.signing_secret[-4:]}"
    read = client.webhooks.get(webhook="tocsin", organization="Acme")
    assert not hasattr(read, "signing_secret")
    with pytest.raises(refused) as refusal:
        client.webhooks.test(webhook=hmac.id)
    assert refusal.value.status == 400

    bearer = client.webhooks.create(
        organization="Acme", name="old", url=f"{endpoint.base_url}/old", auth_token="let me in"
    )
    assert client.webhooks.test(webhook=bearer.id).status_code == 202
    assert endpoint.requests[-1].headers["Authorization"] == "let me in"
    endpoint.script(Fault(status=503))
    assert client.webhooks.test(webhook=bearer.id).status_code == 503
    endpoint.script(Fault(reset=True))
    assert client.webhooks.test(webhook=bearer.id).status_code == 502
    attempts = client.webhooks.list_delivery_attempts(webhook=bearer.id).delivery_attempts
    assert [one.status_code for one in attempts] == [None, 503, 202]
    assert attempts[-1].payload["event"] == "webhook.test"

    client.webhooks.update(webhook=bearer.id, name="older", auth_token="changed")
    client.webhooks.test(webhook=bearer.id)
    assert endpoint.requests[-1].headers["Authorization"] == "changed"
    assert [one.name for one in client.webhooks.list(organization="Acme").webhooks] == ["older", "tocsin"]
    client.webhooks.delete(webhook=bearer.id)
    assert [one.name for one in client.webhooks.list().webhooks] == ["tocsin"]


def test_subscriptions_prompts_evaluators_and_tasks(arize_tenant: ArizeTenant, client: Any, endpoint: Endpoint) -> None:
    from arize.webhooks.types import WebhookEventType, WebhookSourceType

    webhook = arize_tenant.add_webhook(endpoint.base_url, auth_type="HMAC_SHA256")
    prompt, evaluator = arize_tenant.add_prompt("greeting"), arize_tenant.add_evaluator("Relevance")
    task = arize_tenant.add_task("relevance of answers", arize_tenant.add_project("chatbot")["id"])
    for source, identifier, event in (
        (WebhookSourceType.PROMPT, prompt["id"], WebhookEventType.PROMPT_VERSION_CREATED),
        (WebhookSourceType.PROMPT, prompt["id"], WebhookEventType.PROMPT_VERSION_LABELED),
        (WebhookSourceType.EVALUATOR, evaluator["id"], WebhookEventType.EVALUATOR_VERSION_CREATED),
        (WebhookSourceType.SPACE, arize_tenant.space_id, WebhookEventType.ONLINE_TASK_RUN_FAILED),
    ):
        client.webhooks.create_subscription(
            webhook=webhook["id"], source_type=source, source_id=identifier, event=event
        )
    version, deliveries = arize_tenant.add_prompt_version(prompt["id"], "Be kind.", "kinder", labels=["production"])
    deliveries += arize_tenant.add_evaluator_version(evaluator["id"], "Is {output} relevant?")[1]
    deliveries += arize_tenant.add_task_run(task["id"], "FAILED", failure_reason="rate limit", num_errors=7)[1]
    assert [one.wait()["payload"]["event"] for one in deliveries] == [
        "prompt.version.created",
        "prompt.version.labeled",
        "evaluator.version.created",
        "online_task.run.failed",
    ]
    assert {one.headers["X-Arize-Webhook-Event"] for one in endpoint.requests} == {one.event for one in deliveries}

    assert client.prompts.get_version_by_label(prompt=prompt["id"], label_name="production").id == version["id"]
    assert client.prompts.list_versions(prompt=prompt["id"]).prompt_versions[0].commit_message == "kinder"
    assert len(client.evaluators.list_versions(evaluator=evaluator["id"]).evaluator_versions) == 1
    assert [one.name for one in client.tasks.list(project="chatbot", space="Models").tasks] == [task["name"]]
    assert client.tasks.list_runs(task=task["id"]).task_runs[0].failure_reason == "rate limit"


def test_edit_by_hand_is_in_the_audit_log(arize_tenant: ArizeTenant, client: Any, monitors: Any) -> None:
    api_client = generated()
    user = arize_tenant.add_user("Grace", "grace@example.com")
    monitor = arize_tenant.add_monitor()
    arize_tenant.edit_by_hand(monitor["id"], user, notes="raised by hand")
    logs = client.audit_logs.list(user_id=user["id"], start_time=datetime.now(UTC) - timedelta(hours=1)).logs
    assert [(one.user_id, one.operation_name) for one in logs] == [(user["id"], "patchDataQualityMonitor")]
    assert monitor["id"] in logs[0].variables
    assert client.users.get(user=user["id"]).email == "grace@example.com"
    assert monitors.get_monitor(monitor["id"]).actual_instance.notes == "raised by hand"

    audit = api_client.AuditLogsApi(monitors.api_client)
    assert audit.list_audit_logs(operation_name=["patchDriftMonitor", "deleteMonitor"]).logs == []
    assert len(audit.list_audit_logs(operation_name=["patchDriftMonitor", "patchDataQualityMonitor"]).logs) == 1
