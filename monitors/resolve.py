"""From declarations to the states that they ask for in one tenant: names become ids, objectives become numbers.

The phase decides which contacts a monitor gets, so that a new monitor can be watched before it wakes anybody:

- ``observe``: none. The monitor is evaluated, and Tocsin still sees its status when it polls Arize.
- ``warn``: email addresses, Slack and webhooks, but no integration that pages (PagerDuty, Opsgenie).
- ``page``: all.
"""

from dataclasses import dataclass

from monitors.load import Declaration, Declarations, notes_of
from monitors.ownership import Mark
from monitors.schema import (
    AnyMonitorConfig,
    ContactConfig,
    CustomMetricConfig,
    DataQualityConfig,
    DriftConfig,
    LimitConfig,
    PerformanceConfig,
    TracingConfig,
)
from monitors.state import (
    Contact,
    Dimension,
    Downtime,
    Filter,
    Limit,
    MonitorState,
    Schedule,
    Threshold,
    canonical_contacts,
    canonical_filters,
    default_window,
)
from monitors.tenant import Integration, Project, Tenant
from monitors.vocabulary import DAYS, PAGING_PROVIDERS
from policy import Problem
from policy.authoring.errors import sort_problems
from policy.authoring.suggestions import did_you_mean
from policy.yaml_file import KeyPath


@dataclass(frozen=True)
class Desired:
    """What a declaration asks for. ``tags`` is None if they are not managed."""

    key: str
    state: MonitorState
    tags: tuple[str, ...] | None = None
    webhooks: tuple[str, ...] = ()
    """URLs that should be attached: by hand, since Arize's API cannot."""
    takes_over: str = ""
    """The id of the monitor that the declaration names."""

    def mark(self, namespace: str) -> Mark:
        return Mark(namespace, self.key, self.state.digest(self.tags))


@dataclass(frozen=True)
class Resolution:
    desired: tuple[Desired, ...]
    problems: tuple[Problem, ...]


def resolve(declarations: Declarations, tenant: Tenant) -> Resolution:
    """The desired states, and a problem for each name that the tenant does not know."""
    desired: list[Desired] = []
    problems: list[Problem] = []
    for declaration in declarations.monitors:
        one = _Resolver(declarations, declaration, tenant, problems).desired()
        if one is not None:
            desired.append(one)
    return Resolution(tuple(desired), sort_problems(problems))


class _Resolver:
    """Resolves one declaration."""

    def __init__(
        self, declarations: Declarations, declaration: Declaration, tenant: Tenant, problems: list[Problem]
    ) -> None:
        self._declarations, self._declaration, self._tenant = declarations, declaration, tenant
        self._problems = problems
        self._config: AnyMonitorConfig = declaration.config

    def desired(self) -> Desired | None:
        before = len(self._problems)
        project = self._project()
        if project is None:
            return None
        state = self._state(project)
        self._check_takeover(state)
        if len(self._problems) > before:
            return None
        config = self._config
        webhooks = () if state.phase == "observe" else tuple(one.webhook for one in config.contacts if one.webhook)
        tags = None if config.tags is None else tuple(dict.fromkeys(config.tags))
        return Desired(self._declaration.key, state, tags, tuple(sorted(set(webhooks))), config.id)

    def _add(self, path: KeyPath, message: str) -> None:
        self._problems.append(self._declarations.problem(self._declaration.key, path, message))

    def _check_takeover(self, state: MonitorState) -> None:
        """A declaration that names a monitor by its id must mean one that exists, and that nobody else manages."""
        wanted = self._config.id
        if not wanted:
            return
        found = self._tenant.by_id.get(wanted)
        own = (self._declarations.namespace, self._declaration.key)
        if found is None:
            unreadable = self._tenant.unreadable.get(wanted)
            text = (
                f"cannot be read: {unreadable.reason}"
                if unreadable
                else "does not exist; without this key, a new one is created"
            )
            self._add(("id",), f"the monitor {wanted} {text}")
        elif found.mark and found.mark[:2] != own:
            self._add(("id",), f"the monitor {wanted} is managed by {found.mark}")
        elif found.state.kind != state.kind or found.state.project != state.project:
            place = self._tenant.project_name(found.state.project)
            self._add(("id",), f"the monitor {wanted} is a {found.state.kind} monitor of {place}")

    def _project(self) -> Project | None:
        wanted = self._declaration.projects
        path: KeyPath = ("project",) if self._config.project else ("model",)
        ids = self._tenant.find_projects(wanted)
        found = [one for one in self._tenant.projects if one.id in ids]
        if len(ids) == 1:
            return found[0]
        if not found:
            hint = did_you_mean(wanted[0], [one.name for one in self._tenant.projects])
            self._add(path, f"Arize has no project {' or '.join(wanted)}{hint}")
        elif len({one.name.casefold() for one in found}) == 1:
            listed = ", ".join(one.id for one in found)
            text = f"Arize has several projects {found[0].name}: state project by id ({listed}), or ARIZE_SPACE_ID"
            self._add(path, text)
        else:
            several = ", ".join(sorted({one.name for one in found}))
            self._add(path, f"the model has several Arize projects: state project, one of {several}")
        return None

    def _state(self, project: Project) -> MonitorState:
        config = self._config
        said = notes_of(config)
        state = MonitorState(
            kind=config.kind,
            name=config.name or self._declaration.key,
            project=project.id,
            threshold=self._threshold(),
            window=int(config.window or default_window(config.kind)),
            delay=int(config.delay),
            schedule=self._schedule(),
            downtime=self._downtime(),
            filters=canonical_filters(
                [Filter(category=one.category, name=one.name, operator=one.operator, values=one.values)
                 for one in config.filters]
            ),
            contacts=self._contacts(said.get("phase", "page")),
            **said,
        )  # fmt: skip
        return state.model_copy(update=self._of_kind(project))

    def _of_kind(self, project: Project) -> dict[str, object]:
        """The fields that only one kind has."""
        match self._config:
            case DataQualityConfig() as config:
                found: dict[str, object] = {"model_environment": config.model_environment}
                return found | {"metric": config.metric, "dimension": _dimension(config)}
            case TracingConfig() as config:
                found = {"model_environment": ""}
                return found | {"metric": config.metric, "dimension": _dimension(config)}
            case DriftConfig() as config:
                found = {"model_environment": "", "baseline": config.baseline}
                return found | {"metric": config.metric, "dimension": _dimension(config)}
            case PerformanceConfig() as config:
                return {
                    "metric": config.metric,
                    "model_environment": config.model_environment,
                    "positive_class": config.positive_class,
                    "ranking_k": config.ranking_k,
                }
            case CustomMetricConfig() as config:
                return {"model_environment": config.model_environment, "custom_metric": self._custom_metric(project)}

    def _custom_metric(self, project: Project) -> str:
        assert isinstance(self._config, CustomMetricConfig)
        wanted, known = self._config.custom_metric, self._tenant.custom_metrics.get(project.id, {})
        found = [one for one, name in known.items() if wanted in {one, name}]
        if len(found) == 1:
            return found[0]
        if found:
            text = f"has several custom metrics {wanted!r}: state the id, one of {', '.join(found)}"
        elif any(one.state.custom_metric == wanted for one in self._tenant.monitors):
            return wanted  # an id that GraphQL does not list, and a monitor has
        else:
            text = f"has no custom metric {wanted!r}{did_you_mean(wanted, known.values())}"
        self._add(("custom_metric",), f"the project {project.name} {text}")
        return wanted

    def _threshold(self) -> Threshold:
        config = self._config.threshold
        calculation = (config.calculation or "stdev") if config.is_dynamic else ""
        if config.lower and config.upper:
            limits = (self._limit(config.lower, "greater_than"), self._limit(config.upper, "less_than"))
            if not calculation and limits[0].number >= limits[1].number:
                self._add(("threshold",), f"lower ({limits[0].number:g}) is not below upper ({limits[1].number:g})")
            return Threshold(limits=limits, calculation=calculation)
        return Threshold(limits=(self._limit(config, "greater_than"),), calculation=calculation)

    def _limit(self, limit: LimitConfig, operator: str) -> Limit:
        number = self._declaration.slo[limit.slo] if limit.slo else limit.multiplier
        number = number if limit.value is None else limit.value
        assert number is not None, "the schema requires one of the three"
        return Limit(operator=limit.operator or operator, number=number)

    def _schedule(self) -> Schedule | None:
        if self._config.cadence is None:
            return None
        days = tuple(sorted({DAYS.index(day) for day in self._config.days}))
        return Schedule(cadence=int(self._config.cadence), days=() if len(days) == len(DAYS) else days)

    def _downtime(self) -> Downtime | None:
        config = self._config.downtime
        if config is None:
            return None
        start = config.start_utc.replace(microsecond=0)
        return Downtime(start=start, duration=int(config.duration), every=int(config.every))

    def _contacts(self, phase: str) -> tuple[Contact, ...]:
        found: list[Contact] = []
        for index, one in enumerate(self._config.contacts):
            if one.email:
                found.append(Contact(type="email", address=one.email))
            elif one.integration:
                integration = self._integration(one, ("contacts", index, "integration"))
                if integration and (phase == "page" or integration.provider not in PAGING_PROVIDERS):
                    found.append(Contact(type="integration", address=integration.id))
        return () if phase == "observe" else canonical_contacts(found)

    def _integration(self, contact: ContactConfig, path: KeyPath) -> Integration | None:
        wanted = contact.integration
        found = [one for one in self._tenant.integrations if wanted in {one.name, one.id}]
        if len(found) == 1:
            return found[0]
        used = {one.address for monitor in self._tenant.monitors for one in monitor.state.contacts}
        if found:
            ids = ", ".join(one.id for one in found)
            self._add(path, f"Arize has several integrations {wanted!r}: state the id, one of {ids}")
        elif wanted in used:
            return Integration(wanted, wanted, "")  # an id that GraphQL does not list, and a monitor has
        else:
            hint = did_you_mean(wanted, [one.name for one in self._tenant.integrations])
            self._add(path, f"Arize has no integration {wanted!r}{hint}")
        return None


def _dimension(config: DataQualityConfig | TracingConfig | DriftConfig) -> Dimension:
    return Dimension(category=config.dimension.category, name=config.dimension.name)
