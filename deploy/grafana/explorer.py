"""For the auditor: entries in PostgreSQL, by user, model, status, request and time."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import data_source, new_dashboard, rows, section, text_choice


def explorer() -> Dashboard:
    """The dashboard."""
    return (
        new_dashboard(
            "LLM audit: explorer",
            "llm-audit-explorer",
            "Entries of the time chosen above. Grafana keeps no record of who looked: where that must be kept, "
            "use `llm-audit explore`.",
            "now-24h",
        )
        .with_variable(data_source("grafana-postgresql-datasource", "postgresql"))
        .with_variable(text_choice("user", "User"))
        .with_variable(text_choice("model", "Model"))
        .with_variable(text_choice("status", "Status"))
        .with_variable(text_choice("request_id", "Request id"))
        .with_panel(
            rows("Calls", "Newest first, at most 500; a box that is empty means any.", "calls", height=12)
        )
        .with_row(section("One entry"))
        .with_panel(
            rows("Entry", "Every field of the request id above, whatever the time.", "entry", height=12)
        )
        .with_row(section("In this time"))
        .with_panel(rows("By user", "Calls, tokens and cost; 100 users at most.", "by_user", width=12))
        .with_panel(rows("By model", "How each model's calls ended.", "by_model", width=12))
        .with_panel(rows("Dead letters", "Messages that became no row; 100 at most.", "dead_letters"))
    )
