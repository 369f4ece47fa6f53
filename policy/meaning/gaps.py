"""The line of YAML that closes a gap: a metric that no rule names."""

from alerts import Alert
from policy.cel.unparse import format_value


def gap(alert: Alert) -> str:
    """What the metric is called, and the line that maps it or names it in a rule."""
    if not alert.metric:
        return "Arize's message does not say what the monitor measures; set ARIZE_API_KEY, so that Tocsin can ask"
    if alert.mapped:
        return f"add a rule with `when: alert.metric == {format_value(alert.metric)}`"
    return (
        f"map it with `{mapping_line(alert)}`, or add a rule with `when: alert.metric == {format_value(alert.metric)}`"
    )


def mapping_line(alert: Alert) -> str:
    """A line under ``metrics`` that gives the metric a name; ``NAME`` is for the author to replace."""
    if alert.custom_metric:
        return f"metrics: {{NAME: {{names: [{format_value(alert.custom_metric)}]}}}}"
    if alert.aggregation and alert.dimension:
        condition = (
            f"alert.aggregation == {format_value(alert.aggregation)} && "
            f"alert.dimension == {format_value(alert.dimension)}"
        )
        return f"metrics: {{NAME: {{match: '{condition}'}}}}".replace("\n", " ")
    return f"metrics: {{NAME: {{names: [{format_value(alert.custom_metric_id or alert.metric)}]}}}}"
