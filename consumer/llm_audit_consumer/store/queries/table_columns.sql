SELECT attribute.attname AS column_name, format_type(attribute.atttypid, attribute.atttypmod) AS column_type
FROM pg_attribute AS attribute
WHERE attribute.attrelid = to_regclass(%(table)s) AND attribute.attnum > 0 AND NOT attribute.attisdropped
