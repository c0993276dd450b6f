"""The consumer: batches audit entries from Kafka into PostgreSQL, and every operator's command."""
