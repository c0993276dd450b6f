"""The few kinds of panel that the dashboards are made of, over Grafana's Foundation SDK."""

from __future__ import annotations

from importlib import resources

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard

PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="${prometheus}")
POSTGRES = dashboard.DataSourceRef(type_val="grafana-postgresql-datasource", uid="${postgresql}")

_WIDTH = 24
_RED, _AMBER, _GREEN = "red", "orange", "green"


class SqlQuery(Dataquery, Builder[Dataquery]):
    """A query in SQL, as Grafana's PostgreSQL data source takes it; the Foundation SDK has none of its own."""

    def __init__(self, name: str) -> None:
        self._sql = (resources.files(__package__) / "queries" / f"{name}.sql").read_text()

    def build(self) -> Dataquery:
        """Itself: there is nothing more to do."""
        return self

    def to_json(self) -> dict[str, object]:
        """Its form in a dashboard."""
        return {
            "datasource": {"type": POSTGRES.type_val, "uid": POSTGRES.uid},
            "editorMode": "code",
            "format": "table",
            "rawQuery": True,
            "rawSql": self._sql,
            "refId": "A",
        }


def new_dashboard(title: str, uid: str, meaning: str, since: str) -> dashboards.Dashboard:
    """An empty dashboard in UTC, as the trail is."""
    return (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(meaning)
        .tags(["llm-audit"])
        .timezone("utc")
        .time(since, "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboards.DashboardLink("llm-audit")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["llm-audit"])
        )
    )


def data_source(kind: str, name: str) -> dashboards.DatasourceVariable:
    """The choice of a data source, which is made for you where there is only one."""
    return dashboards.DatasourceVariable(name).label(name).type(kind)


def number(
    title: str,
    meaning: str,
    expression: str,
    *,
    unit: str = "short",
    bad_above: tuple[float, float] | None = None,
    bad_below: tuple[float, float] | None = None,
    width: int = 4,
) -> stat.Panel:
    """One figure, now; amber and red beyond two thresholds."""
    panel = (
        stat.Panel().title(title).description(meaning).unit(unit).datasource(PROMETHEUS).span(width).height(4)
    )
    panel = panel.with_target(_query(expression, "A", "").instant())
    # What is not known is grey, and never looks like a zero.
    panel = panel.no_value("not known").graph_mode(common.BigValueGraphMode.NONE)
    return panel.thresholds(_thresholds(bad_above, bad_below)).color_mode(common.BigValueColorMode.BACKGROUND)


def _thresholds(
    above: tuple[float, float] | None, below: tuple[float, float] | None
) -> dashboards.ThresholdsConfig:
    steps: list[tuple[float | None, str]] = [(None, "text")]
    if above is not None:
        steps = [(None, _GREEN), (above[0], _AMBER), (above[1], _RED)]
    if below is not None:
        steps = [(None, _RED), (below[0], _AMBER), (below[1], _GREEN)]
    config = dashboards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE)
    return config.steps([dashboard.Threshold(value=value, color=color) for value, color in steps])


def lines(
    title: str,
    meaning: str,
    expressions: dict[str, str],
    *,
    unit: str = "short",
    stacked: bool = False,
    width: int = 12,
) -> timeseries.Panel:
    """Figures over time, each expression with the legend that names its lines."""
    panel = timeseries.Panel().title(title).description(meaning).unit(unit).datasource(PROMETHEUS)
    panel = panel.span(width).height(8).fill_opacity(10).axis_soft_min(0)
    panel = panel.legend(
        common_builders.VizLegendOptions()
        .show_legend(True)  # noqa: FBT003 - the SDK's own form
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for number_of_query, (legend, expression) in enumerate(expressions.items()):
        panel = panel.with_target(_query(expression, chr(ord("A") + number_of_query), legend).range())
    return panel


def _query(expression: str, ref_id: str, legend: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(" ".join(expression.split())).ref_id(ref_id)
    return query.datasource(PROMETHEUS).legend_format(legend or "__auto")


def rows(title: str, meaning: str, query: str, *, height: int = 10, width: int = _WIDTH) -> table.Panel:
    """The answer of a query in queries/, as a table."""
    panel = table.Panel().title(title).description(meaning).datasource(POSTGRES).span(width).height(height)
    return panel.with_target(SqlQuery(query))


def text_choice(name: str, label: str) -> dashboards.TextBoxVariable:
    """A box in which a word is typed; empty means: any."""
    return dashboards.TextBoxVariable(name).label(label).default_value("")


def section(title: str) -> dashboards.Row:
    """A heading."""
    return dashboards.Row(title)
