"""For the operator: does every call become a row, how late, and what stands in the way."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import data_source, lines, new_dashboard, number, section


def _quantiles(buckets: str, *shares: float) -> dict[str, str]:
    return {
        f"{share:.0%}": f"histogram_quantile({share}, sum by (le) (rate({buckets}[$__rate_interval])))"
        for share in shares
    }


def operations() -> Dashboard:
    """The dashboard."""
    board = new_dashboard(
        "LLM audit: operations",
        "llm-audit-operations",
        "Does every call become a row, how late, and what stands in the way. Alerts: deploy/RUNBOOK.md.",
        "now-6h",
    ).with_variable(data_source("prometheus", "prometheus"))
    return _producers(_completeness(_database(_consumer(_now(board)))))


def _now(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("Now"))
        .with_panel(
            number(
                "Consumers",
                "Consumers that answer Prometheus.",
                'sum(up{job="llm-audit-consumer"})',
                bad_below=(1, 1),
            )
        )
        .with_panel(
            number(
                "Lag",
                "Messages that are in no row yet. Not known is not zero.",
                "sum(llm_audit_consumer_lag_messages)",
                bad_above=(10_000, 100_000),
            )
        )
        .with_panel(
            number(
                "Oldest entry without a row",
                "Age of the oldest message that is in no row yet.",
                "llm_audit:unread_age_seconds",
                unit="s",
                bad_above=(60, 600),
            )
        )
        .with_panel(
            number(
                "Until Kafka deletes it",
                "Hours until Kafka deletes the oldest message that nobody has read.",
                "llm_audit:hours_until_deleted_unread",
                unit="h",
                bad_below=(72, 168),
            )
        )
        .with_panel(
            number(
                "Dead letters, a day",
                "Messages that could not become rows in the last 24 hours.",
                "sum(increase(llm_audit_consumer_dead_letters_total[1d])) or vector(0)",
                bad_above=(1, 100),
            )
        )
        .with_panel(
            number(
                "Late, 6 hours",
                "Share of the calls whose row came later than 60 s; the objective is 1 %.",
                "llm_audit:delay_over_60s:ratio_rate6h",
                unit="percentunit",
                bad_above=(0.01, 0.06),
            )
        )
    )


def _consumer(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("From Kafka into PostgreSQL"))
        .with_panel(
            lines(
                "Rows",
                "Rows committed, and entries that were there already.",
                {
                    "rows": "sum(rate(llm_audit_consumer_rows_total[$__rate_interval]))",
                    "duplicates": "sum(rate(llm_audit_consumer_duplicates_total[$__rate_interval]))",
                },
                unit="cps",
            )
        )
        .with_panel(
            lines(
                "From the call's end to its row",
                "Half, 95 % and 99 % of the calls were faster.",
                _quantiles("llm_audit_call_to_row_delay_seconds_bucket", 0.5, 0.95, 0.99),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Lag by partition",
                "A line that ends is a lag that nobody knows.",
                {"{{topic}} {{partition}}": "sum by (topic, partition) (llm_audit_consumer_lag_messages)"},
            )
        )
        .with_panel(
            lines(
                "Age of the oldest entry without a row, by partition",
                "A line that ends is an age that nobody knows.",
                {"{{topic}} {{partition}}": "max by (topic, partition) (llm_audit_consumer_lag_seconds)"},
                unit="s",
            )
        )
    )


def _database(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("Batches and trouble"))
        .with_panel(
            lines(
                "Time for a batch, by step",
                "The mean. Decoding is the consumer's work, writing the database's.",
                {
                    "{{step}}": """
                        sum by (step) (rate(llm_audit_consumer_batch_duration_seconds_sum[$__rate_interval]))
                        / sum by (step) (rate(llm_audit_consumer_batch_duration_seconds_count[$__rate_interval]))
                    """
                },
                unit="s",
                width=8,
            )
        )
        .with_panel(
            lines(
                "Messages in a batch",
                "The mean. Near --batch-messages it runs at full load.",
                {
                    "messages": """
                        sum(rate(llm_audit_consumer_batch_messages_sum[$__rate_interval]))
                        / sum(rate(llm_audit_consumer_batch_messages_count[$__rate_interval]))
                    """
                },
                width=8,
            )
        )
        .with_panel(
            lines(
                "Partitions",
                "How many partitions each consumer has.",
                {"{{instance}}": "llm_audit_consumer_assigned_partitions"},
                width=8,
            )
        )
        .with_panel(
            lines(
                "Trouble",
                "Failures that were tried again, dead letters, and offsets that Kafka deleted unread.",
                {
                    "{{kind}}": "sum by (kind) (rate(llm_audit_consumer_errors_total[$__rate_interval]))",
                    "dead letter: {{reason}}": """
                        sum by (reason) (rate(llm_audit_consumer_dead_letters_total[$__rate_interval]))
                    """,
                    "lost in {{topic}}": """
                        sum by (topic) (rate(llm_audit_consumer_offsets_lost_total[$__rate_interval]))
                    """,
                },
                unit="cps",
            )
        )
        .with_panel(
            lines(
                "Since the last success",
                "Time since a batch was committed or the topic was found empty.",
                {"{{instance}}": "time() - llm_audit_consumer_last_success_timestamp_seconds"},
                unit="s",
            )
        )
    )


def _completeness(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("Is it complete"))
        .with_panel(
            number(
                "Missing",
                "Entries that producers made and that are lost; of producers heard of in the last seven days.",
                "max(llm_audit_completeness_missing_entries)",
                bad_above=(1, 1),
                width=6,
            )
        )
        .with_panel(
            number(
                "Late",
                "Entries that producers made and that may still come.",
                "max(llm_audit_completeness_late_entries)",
                width=6,
            )
        )
        .with_panel(
            lines(
                "Producers, by verdict",
                "Every consumer tells the same. After an unclean end the tail is unknown.",
                {"{{verdict}}": "max by (verdict) (llm_audit_completeness_producers)"},
            )
        )
    )


def _producers(board: Dashboard) -> Dashboard:
    return (
        board.with_row(section("Services that expose their producer"))
        .with_panel(
            lines(
                "Captured and delivered",
                "What the services saw, and what Kafka acknowledged.",
                {
                    "captured": "sum(rate(llm_audit_producer_captured_total[$__rate_interval]))",
                    "delivered": "sum(rate(llm_audit_producer_delivered_total[$__rate_interval]))",
                },
                unit="cps",
                width=8,
            )
        )
        .with_panel(
            lines(
                "Lost, by reason",
                "Entries that will never arrive.",
                {"{{reason}}": "sum by (reason) (rate(llm_audit_producer_lost_total[$__rate_interval]))"},
                unit="cps",
                width=8,
            )
        )
        .with_panel(
            lines(
                "What recording costs a caller",
                "Half and 99 % of the calls were held up for less.",
                _quantiles("llm_audit_producer_recording_seconds_bucket", 0.5, 0.99),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "From the call's end to Kafka",
                "Half and 99 % of the entries took less to be acknowledged.",
                _quantiles("llm_audit_producer_delivery_seconds_bucket", 0.5, 0.99),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Waiting in memory",
                "Calls that wait for the recorder's thread.",
                {"{{instance}}": "sum by (instance) (llm_audit_producer_queue_entries)"},
                width=8,
            )
        )
        .with_panel(
            lines(
                "Waiting in spools",
                "Entries on the services' disks that Kafka has not acknowledged.",
                {"{{instance}}": "sum by (instance) (llm_audit_producer_spool_entries)"},
                width=8,
            )
        )
        .with_panel(
            lines(
                "Size of spools",
                "Bytes on disk. When the limit is reached, new entries are lost.",
                {"{{instance}}": "sum by (instance) (llm_audit_producer_spool_bytes)"},
                unit="bytes",
                width=8,
            )
        )
        .with_panel(
            lines(
                "Age of the oldest entry in a spool",
                "Near zero while Kafka answers.",
                {"{{instance}}": "max by (instance) (llm_audit_producer_spool_oldest_seconds)"},
                unit="s",
                width=8,
            )
        )
    )
