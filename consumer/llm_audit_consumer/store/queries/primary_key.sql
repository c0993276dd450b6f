SELECT attribute.attname AS column_name
FROM pg_index AS index
JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid AND attribute.attnum = ANY (index.indkey)
WHERE index.indrelid = to_regclass(%(table)s) AND index.indisprimary
ORDER BY array_position(index.indkey::smallint[], attribute.attnum)
