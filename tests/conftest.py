"""Fixtures of most tests: stand-in vendors, whose requests must fit the vendors' API descriptions."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.vendors import ArizeTenant, Jira, PagerDuty, Slack
from tests.vendors.specs import load_text

# The same examples in every run, so that a failure comes from the change under test. To search for new examples:
# HYPOTHESIS_PROFILE=search make test ARGS=tests/alerts
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """A command that a test runs in this process configures logging; the next test finds what was there before."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def pagerduty() -> Iterator[PagerDuty]:
    with PagerDuty() as vendor:
        yield vendor
    assert vendor.violations == []


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack() as vendor:
        yield vendor
    assert vendor.violations == []


@pytest.fixture
def jira() -> Iterator[Jira]:
    with Jira() as vendor:
        yield vendor
    assert vendor.violations == []


@pytest.fixture
def arize_tenant() -> Iterator[ArizeTenant]:
    """An empty tenant of Arize. The test fails unless what it received and answered fits the ``arize`` SDK's models."""
    if load_text("arize.graphql") is None:
        pytest.skip("shared/specs/arize.graphql is not beside the project")
    with ArizeTenant() as tenant:
        yield tenant
    assert tenant.violations == []
