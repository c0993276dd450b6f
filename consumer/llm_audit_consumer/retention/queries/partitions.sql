-- A table's partitions with their bounds, as PostgreSQL writes them; none where there is no such table.
SELECT relname AS name, pg_get_expr(relpartbound, pg_class.oid) AS bounds
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass(%(log)s)
