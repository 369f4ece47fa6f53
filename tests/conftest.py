"""What most tests need: samples, destinations on stand-in vendors, and a real Temporal server."""

from collections.abc import Iterator

import pytest

from tests.vendors import Jira, PagerDuty, Slack


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
