"""The console replaces destinations without their secrets, so that a first start needs none."""

from collections.abc import Mapping

from integrations.base.registry import destination_types
from policy import Policy


def with_console_fallback(policy: Policy, environment: Mapping[str, str]) -> tuple[Policy, dict[str, str]]:
    """The policy with the console in place of every destination that has a missing secret.

    Returns the policy and, by the destination's name, the names of the missing secrets.
    """
    missing_secrets: dict[str, str] = {}
    console = destination_types()["console"]
    for name, config in policy.destinations.items():
        missing = [ref.name for ref in config.secrets().values() if ref.resolve(environment) is None]
        if missing:
            missing_secrets[name] = ", ".join(missing)
    replaced = {
        name: console(
            type="console",
            schedule=policy.destinations[name].schedule,
            timezone=policy.destinations[name].timezone,
        )
        for name in missing_secrets
    }
    return policy.with_destinations(replaced), missing_secrets
