-- For this transaction only, so that it also holds behind a transaction pooler.
SELECT set_config('statement_timeout', %(statement_timeout_ms)s::text, true)
