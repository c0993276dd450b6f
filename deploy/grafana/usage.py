"""For whoever pays: calls, tokens, cost and errors by model."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import data_source, lines, new_dashboard, number, section


def usage() -> Dashboard:
    """The dashboard."""
    board = new_dashboard(
        "LLM audit: usage, cost and errors",
        "llm-audit-usage",
        "As the consumer counted them; what is owed to the cent is asked of PostgreSQL (llm-audit report cost).",
        "now-24h",
    ).with_variable(data_source("prometheus", "prometheus"))
    return _by_model(_today(board))


def _today(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("The last 24 hours"))
        .with_panel(number("Calls", "Audited calls.", "sum(increase(llm_audit_calls_total[1d]))", width=6))
        .with_panel(
            number(
                "Cost",
                "What the calls with a known cost have cost, in USD.",
                "sum(increase(llm_audit_cost_usd_total[1d]))",
                unit="currencyUSD",
                width=6,
            )
        )
        .with_panel(
            number(
                "Calls without a known cost",
                "They are in no sum of costs.",
                "sum(increase(llm_audit_calls_without_cost_total[1d]))",
                width=6,
            )
        )
        .with_panel(
            number(
                "Calls that name no user",
                "Share of the calls of the last hour.",
                "llm_audit:unattributed:ratio_rate1h",
                unit="percentunit",
                bad_above=(0.01, 0.05),
                width=6,
            )
        )
    )


def _by_model(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("By model"))
        .with_panel(
            lines(
                "Calls",
                "Audited calls a second.",
                {"{{model}}": "sum by (model) (rate(llm_audit_calls_total[$__rate_interval]))"},
                unit="cps",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "How calls end",
                "An aborted call was left by its caller; a blocked one was never sent.",
                {"{{status}}": "sum by (status) (rate(llm_audit_calls_total[$__rate_interval]))"},
                unit="cps",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Error rate",
                "errors / (calls - blocked), over 15 minutes.",
                {"{{model}}": "model:llm_audit_errors:ratio_rate15m"},
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Cost an hour",
                "USD within the hour before. Calls without a known cost are left out.",
                {"{{model}}": "model:llm_audit_cost_usd:increase1h"},
                unit="currencyUSD",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Tokens, by kind",
                "Input without cache, output with thinking, cache reads and cache writes.",
                {"{{kind}}": "sum by (kind) (rate(llm_audit_tokens_total[$__rate_interval]))"},
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Tokens, by model",
                "Tokens of every kind a second.",
                {"{{model}}": "sum by (model) (rate(llm_audit_tokens_total[$__rate_interval]))"},
                stacked=True,
            )
        )
    )
