INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING
