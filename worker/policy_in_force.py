"""The policy as the processes use it: checked, without what lacks a secret, and as fast as the settings say."""

from activities.destinations import destination_types, with_console
from policy import Policy, load_policy
from worker.settings import Settings


def policy_in_force(settings: Settings) -> tuple[Policy, dict[str, str]]:
    """The policy, and the destinations that the console stands in for, with what each lacks.

    Raises PolicyError.
    """
    policy = load_policy(settings.policy, destination_types())
    if settings.speed != 1.0:
        policy = policy.sped_up(settings.speed)
    return with_console(policy, settings.environment)
