"""What a worker uses of Arize: the clients of its two APIs, and the descriptions of monitors."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from activities.describing import AlertDescriber
from activities.refresh_descriptions import DescriptionRefresher
from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from gateway.security.encryption import Keyring
from integrations.arize.client import ArizeApi
from integrations.arize.describer import ArizeDescriber
from integrations.arize.description_cache import LOAD_INTERVAL, POLICY, DescriptionCache
from integrations.arize.graphql import ArizeGraphQL
from integrations.arize.health import ArizeHealth
from integrations.base.errors import IntegrationError
from worker.settings import Settings


@dataclass(frozen=True)
class Arize:
    """The clients share ``health``: an API that is down is left alone by all of them."""

    has_key: bool
    health: ArizeHealth
    rest: ArizeApi
    graphql: ArizeGraphQL
    describer: ArizeDescriber
    descriptions: DescriptionCache

    @property
    def alert_describer(self) -> AlertDescriber:
        """Without an API key, it knows only what the cache knows."""
        return AlertDescriber(self.descriptions, self.describer if self.has_key else None)

    @property
    def refresher(self) -> DescriptionRefresher:
        return DescriptionRefresher(self.rest, self.describer, self.descriptions, self.health)

    async def maintain(self, policy_problem: Callable[[], str] = str) -> None:
        """Keep the cache as other processes wrote it, and report what is wrong with Arize, until it is cancelled.

        Args:
            policy_problem: returns which conditions of the policy could not be evaluated lately, to report it, too.
        """
        await self.descriptions.load()
        warming = asyncio.create_task(self._warm())

        def problems() -> dict[str, str]:
            found = policy_problem()
            return {**self.health.problems, **({POLICY: found} if found else {})}

        await self.descriptions.run(LOAD_INTERVAL, problems)
        await warming

    async def close(self) -> None:
        await self.rest.close()
        await self.graphql.close()
        self.descriptions.close()

    async def _warm(self) -> None:
        """Read the projects, so that the first sight of a monitor takes one round trip."""
        if self.has_key:
            try:
                await self.describer.warm()
            except IntegrationError:
                return  # ``health`` has the reason, and each project is read when it is needed


def open_arize(settings: Settings, health: ArizeHealth) -> Arize:
    """The clients for the settings. Without an API key, every request fails."""
    key = settings.arize_api_key.get_secret_value()
    rest = ArizeApi(key, settings.arize_api_url, settings.arize_space_id, health)
    graphql = ArizeGraphQL(key, settings.arize_app_url, health)
    keys = Keyring.read(settings.secrets(ENCRYPTION_KEY))
    return Arize(
        has_key=bool(key),
        health=health,
        rest=rest,
        graphql=graphql,
        describer=ArizeDescriber(rest, graphql),
        descriptions=DescriptionCache(settings.dedup_store_url, keys),
    )
