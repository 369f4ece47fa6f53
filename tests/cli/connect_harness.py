"""``tocsin arize connect`` and its companions against the stand-in tenant, and a gateway that authenticates."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gateway.security.secret_file import read_secret_file
from integrations.arize.webhook import check_arize
from tests.cli.harness import CliHarness
from tests.vendors import Request, Vendor
from tests.vendors.arize import ArizeTenant
from tests.vendors.arize.state import Row
from worker.bootstrap import ARIZE_SECRET
from worker.locations import SHIPPED_POLICY


class AuthenticatingGateway(Vendor):
    """Authenticates webhooks with the secret file of a state folder, as the gateway of ``tocsin up`` does."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.secrets: Callable[[], tuple[str, ...]] = lambda: read_secret_file(state / ARIZE_SECRET)
        self.accepted: list[Request] = []
        self.ready = True

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.path == "/readyz":
            return (200, {"ready": True}) if self.ready else (503, {"ready": False, "problems": ["Temporal is down"]})
        headers = {name.lower(): value for name, value in request.headers.items()}
        fault = check_arize(headers, request.raw, self.secrets(), (), time.time())
        if fault:
            return 401, {"status": 401, "detail": fault}
        self.accepted.append(request)
        return 202, {"incident": "", "state": "recorded"}

    @property
    def webhook_url(self) -> str:
        return f"{self.base_url}/webhooks/arize"


class ConnectHarness:
    """The commands in a folder of their own. No output of any of them may hold the key or a signing secret."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tenant: ArizeTenant, gateway: AuthenticatingGateway
    ) -> None:
        self.cli = CliHarness(folder, monkeypatch, "arize")
        self.tenant, self.gateway, self.state = tenant, gateway, folder / "state"
        for name, value in tenant.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("ARIZE_SPACE_ID", "ARIZE_WEBHOOK_SECRET", "ARIZE_WEBHOOK_SECRET_FILE", "TOCSIN_GATEWAY_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TOCSIN_PUBLIC_URL", gateway.base_url)
        monkeypatch.setenv("TOCSIN_POLICY", str(SHIPPED_POLICY))

    def run(self, *arguments: str, answer: str | None = None, shows_secret: bool = False) -> Result:
        result = self.cli.run(*arguments, input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert self.tenant.key not in result.output
        if not shows_secret:
            for secret in self.tenant.state.webhook_secrets.values():
                assert not secret or secret not in result.output
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with ``--format json``."""
        result = self.run(*arguments, "--format", "json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    @property
    def kept(self) -> list[str]:
        """The secrets in the gateway's file."""
        file = self.state / ARIZE_SECRET
        return file.read_text().strip().split(",") if file.exists() else []

    def webhooks(self) -> list[Row]:
        return self.tenant.state.webhooks.oldest()

    def webhook(self) -> Row:
        """The only webhook."""
        (found,) = self.webhooks()
        return found

    def changes(self) -> list[str]:
        """What was changed in Arize, as ``POST /v2/webhooks``."""
        mutations = [one for one in self.tenant.requests if one.path != "/graphql" and one.method != "GET"]
        return [f"{one.method} {one.path.split('/V2')[0]}" for one in mutations]
