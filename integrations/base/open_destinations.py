"""Opens the destinations of a policy."""

from collections.abc import Iterator, Mapping

from integrations.base.destination import Destination
from integrations.base.registry import destination_class
from policy import DestinationConfig, Policy


def open_destinations(policy: Policy, environment: Mapping[str, str]) -> dict[str, Destination]:
    """One open destination for each that the policy names. Raises LookupError with every missing or unusable secret."""
    opened = OpenDestinations(environment)
    opened.update(policy)
    return dict(opened)


def open_destination(name: str, config: DestinationConfig, environment: Mapping[str, str]) -> Destination:
    """One destination. Raises LookupError with every missing or unusable secret."""
    secrets, missing = _resolve(name, config, environment)
    if missing:
        raise LookupError("\n".join(missing))
    return destination_class(config.type)(name, config, secrets)


class OpenDestinations(Mapping[str, Destination]):
    """The open destinations of the policy in force, and those of earlier ones, which open incidents may still name."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` holds the variables that secrets come from."""
        self._environment = environment
        self._open: dict[str, tuple[DestinationConfig, Mapping[str, str], Destination]] = {}
        self._replaced: list[Destination] = []

    def update(self, policy: Policy) -> None:
        """Open what is new in a policy, and keep what is unchanged. Raises LookupError, with nothing changed."""
        resolved = {name: _resolve(name, config, self._environment) for name, config in policy.destinations.items()}
        missing = [text for _, texts in resolved.values() for text in texts]
        if missing:
            raise LookupError("\n".join(missing))
        for name, config in policy.destinations.items():
            secrets = resolved[name][0]
            current = self._open.get(name)
            if current is not None and current[:2] == (config, secrets):
                continue
            if current is not None:
                self._replaced.append(current[2])  # it may be sending a notification
            destination = destination_class(config.type)(name, config, secrets)
            self._open[name] = (config, secrets, destination)

    def __getitem__(self, name: str) -> Destination:
        return self._open[name][2]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def secrets(self) -> Iterator[str]:
        """The secrets that no log line may contain."""
        for _, resolved, _ in self._open.values():
            yield from resolved.values()

    async def close(self) -> None:
        """Close every connection."""
        for destination in (*self._replaced, *self.values()):
            await destination.close()


def _resolve(name: str, config: DestinationConfig, environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The secrets of a destination, and a sentence for each that is missing or unusable."""
    resolved: dict[str, str] = {}
    missing: list[str] = []
    for key, reference in config.secrets().items():
        secret = reference.resolve(environment)
        if secret is None:
            missing.append(f"destination {name}: {key} comes from {reference.name}, which is not set")
        else:
            resolved[key] = secret
    for key, fault in config.secret_faults(resolved).items():
        missing.append(f"destination {name}: {key} comes from {config.secrets()[key].name}, which {fault}")
    return resolved, missing
