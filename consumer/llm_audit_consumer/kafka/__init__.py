"""Kafka: the consumer's side of the topic, and the topics themselves. Nothing else here imports confluent_kafka."""
