from llm_audit_consumer.embedded.kafka_config import NodePorts, server_properties

NODES = {1: NodePorts(1001, 1002, 1003), 2: NodePorts(2001, 2002, 2003), 3: NodePorts(3001, 3002, 3003)}


def settings_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_every_listener_is_on_loopback() -> None:
    settings = settings_of(server_properties(2, NODES, log_dir="/data", client_protocol="SASL_SSL", extra={}))

    assert (
        settings["listeners"]
        == "CLIENT://127.0.0.1:2001,INTERNAL://127.0.0.1:2002,CONTROLLER://127.0.0.1:2003"
    )
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:1003,2@127.0.0.1:2003,3@127.0.0.1:3003"
    assert settings["listener.security.protocol.map"].startswith("CLIENT:SASL_SSL,")


def test_one_node_keeps_one_copy_and_three_keep_three() -> None:
    one = settings_of(
        server_properties(1, {1: NODES[1]}, log_dir="/data", client_protocol="PLAINTEXT", extra={})
    )
    three = settings_of(server_properties(1, NODES, log_dir="/data", client_protocol="PLAINTEXT", extra={}))

    assert (one["default.replication.factor"], one["min.insync.replicas"]) == ("1", "1")
    assert (three["default.replication.factor"], three["min.insync.replicas"]) == ("3", "2")


def test_extra_properties_win() -> None:
    extra = {"auto.create.topics.enable": "true", "ssl.keystore.location": "/keys"}
    settings = settings_of(
        server_properties(1, NODES, log_dir="/data", client_protocol="PLAINTEXT", extra=extra)
    )

    assert settings["auto.create.topics.enable"] == "true"
    assert settings["ssl.keystore.location"] == "/keys"


def test_values_are_written_as_java_reads_them() -> None:
    extra = {"odd": "C:\\x é\n\N{GRINNING FACE}"}
    settings = settings_of(
        server_properties(1, NODES, log_dir="/a b", client_protocol="PLAINTEXT", extra=extra)
    )

    assert settings["log.dirs"] == "/a b"
    assert settings["odd"] == r"C:\\x \u00e9\u000a\ud83d\ude00"
