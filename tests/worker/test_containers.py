"""The compose file against the compose specification's schema, and the properties that the docs promise."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def test_compose_file_matches_the_specification() -> None:
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*checker, str(COMPOSE)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_checker_finds_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("healthcheck:", "healthcheque:", 1))
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    assert subprocess.run([*checker, str(broken)], capture_output=True).returncode == 1


def test_compose_file_has_the_production_services(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {
        "gateway",
        "worker",
        "watchdog",
        "temporal",
        "temporal-schema",
        "temporal-namespace",
        "temporal-ui",
        "postgresql",
    }
    for name in ("gateway", "worker", "temporal", "postgresql"):
        assert compose["services"][name]["healthcheck"]["test"], name
        assert compose["services"][name]["restart"] == "unless-stopped", name


def test_every_dependency_can_be_satisfied(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], (name, needed)
            else:
                assert services[needed]["restart"] == "on-failure", (name, needed)


def test_images_are_pinned_and_ports_are_local(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert re.search(r":\d", service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)


def test_secrets_come_from_environment_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|PWD|SECRET|TOKEN$|KEY$", key) and not str(value).startswith("/run/secrets/"):
                assert re.fullmatch(r"\$\{\w+(:\?.*|:-)\}", str(value)), (name, key)
    assert "ARIZE_WEBHOOK_SECRET:?" in compose["services"]["gateway"]["environment"]["ARIZE_WEBHOOK_SECRET"]


def test_own_containers_have_no_capabilities(compose: dict[str, Any]) -> None:
    for name in ("gateway", "worker"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_image_is_unprivileged_and_without_secrets() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    assert "-slim" in dockerfile
    assert not re.search(r"(SECRET|PASSWORD|TOKEN)=", dockerfile)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*", "only listed files are copied into the image, so that no .env gets in"
    packages = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert packages >= set(wheel["packages"])
