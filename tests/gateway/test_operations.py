"""What ``/``, ``/readyz`` and ``/metrics`` show to anyone, and to a viewer, over HTTP with real processes."""

import stat
import subprocess
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.gateway.real_gateway import POLICY, TEMPORAL_NOWHERE, RealGateway, running_gateway
from tests.ports import unused_port
from tests.processes import Tocsin, tocsin

VIEWER = {"Authorization": "Bearer v-token"}
DATABASE = "postgresql://tocsin:db-password@database.internal.example:5432/tocsin"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealGateway]:
    folder = tmp_path_factory.mktemp("operations")
    metrics = f"127.0.0.1:{unused_port()}"
    with running_gateway(folder, TOCSIN_DATABASE_URL=DATABASE, TOCSIN_GATEWAY_METRICS=metrics) as gateway:
        yield gateway


def get(gateway: RealGateway, path: str, **headers: str) -> httpx.Response:
    return gateway.tocsin.http.get(f"{gateway.tocsin.url}{path}", headers=headers)


def test_readiness_names_no_host_to_anyone(gateway: RealGateway) -> None:
    answer = get(gateway, "/readyz")
    ready = answer.json()
    assert (answer.status_code, ready["ready"], ready["spool"]) == (200, True, "ok")
    assert (ready["temporal"], ready["dedup_store"], ready["quarantine"]) == ("unavailable",) * 3
    assert ready["health"] in ({}, {"temporal": "1 problem"})
    assert "internal.example" not in answer.text
    assert TEMPORAL_NOWHERE not in answer.text


def test_viewer_reads_the_errors(gateway: RealGateway) -> None:
    ready = get(gateway, "/readyz", **VIEWER).json()
    assert "database.internal.example" in ready["dedup_store"] + ready["quarantine"]
    assert ready["temporal"] not in {"ok", "unavailable"}
    assert "db-password" not in str(ready)


def test_wrong_token_is_no_anonymous_caller(gateway: RealGateway) -> None:
    assert get(gateway, "/readyz", Authorization="Bearer wrong").status_code == 401
    assert get(gateway, "/readyz", Authorization="Basic dXNlcjpwYXNz").status_code == 200, "a proxy's own"


def test_metrics_need_a_token_or_their_own_port(gateway: RealGateway) -> None:
    assert get(gateway, "/metrics").status_code == 401
    assert "tocsin_spool_items" in get(gateway, "/metrics", **VIEWER).text
    inside = gateway.tocsin.environment["TOCSIN_GATEWAY_METRICS"]
    assert "tocsin_spool_items" in gateway.tocsin.http.get(f"http://{inside}/metrics").text


def test_busy_metrics_port_names_the_setting(gateway: RealGateway, tmp_path: Path) -> None:
    taken = gateway.tocsin.environment["TOCSIN_GATEWAY_METRICS"]
    other = RealGateway(tmp_path, TOCSIN_GATEWAY_METRICS=taken)
    result = tocsin("gateway", environment=other.tocsin.environment)
    assert (result.returncode, f"cannot listen on {taken}" in result.stderr) == (1, True), result.stderr


def test_start_is_logged(gateway: RealGateway) -> None:
    (started,) = gateway.logged("gateway_started")
    assert started["addresses"] == [gateway.tocsin.url]
    assert started["version"] == version("tocsin")
    assert started["policy"] == get(gateway, "/readyz").json()["policy"]


def test_person_gets_pages_and_program_gets_problems(gateway: RealGateway) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    home = get(gateway, "/", **browser)
    assert (home.status_code, "/openapi.json" in home.text) == (200, True)
    assert get(gateway, "/", Accept="application/json").json()["openapi"] == "/openapi.json"
    for path, headers in (("/docs", browser), ("/incidents/a/b", {}), ("/nowhere", browser), ("/incidents/x", {})):
        answer = get(gateway, path, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "://" not in answer.text, "nothing is loaded from another host"
    for path, headers in (("/nowhere", {}), ("/api/nowhere", browser), ("/api/incidents", browser)):
        answer = get(gateway, path, **headers)
        assert answer.headers["content-type"] == "application/problem+json", path


@pytest.mark.parametrize("role", ["gateway", "up"])
def test_only_the_owner_reads_the_state(tmp_path: Path, role: str) -> None:
    """Alerts lie there in clear, and secrets."""
    started = Tocsin(tmp_path, tmp_path / "policy.yaml", TOCSIN_CONSOLE_FALLBACK="yes")
    (tmp_path / "policy.yaml").write_text(POLICY)
    if role == "gateway":
        started.environment["TEMPORAL_ADDRESS"] = TEMPORAL_NOWHERE
        started.start("gateway")
    else:
        started.start()
    try:
        state = tmp_path / "state"
        found = [state, *state.rglob("*")]
        assert (state / "spool.db") in found
        assert {str(one): stat.filemode(one.stat().st_mode) for one in found if one.stat().st_mode & 0o077} == {}
    finally:
        started.stop()


def test_open_state_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with running_gateway(tmp_path) as gateway:
        (line,) = gateway.logged("state_folder_readable")
        subprocess.run(str(line["remedy"]).split(), check=True)
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
