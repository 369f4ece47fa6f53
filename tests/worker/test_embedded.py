"""The command line of the embedded server."""

import socket
from pathlib import Path

from worker.embedded import DYNAMIC_CONFIG, free_port, server_command


def test_tuned_command_adds_dynamic_config_only() -> None:
    tuned = server_command(Path("t.db"), "default", 7233, 0)
    untuned = server_command(Path("t.db"), "default", 7233, 0, tuned=False)
    values = [tuned[index + 1] for index, one in enumerate(tuned) if one == "--dynamic-config-value"]
    assert values == list(DYNAMIC_CONFIG)
    assert [one for one in tuned if one not in {*DYNAMIC_CONFIG, "--dynamic-config-value"}] == untuned


def test_database_stays_durable() -> None:
    command = server_command(Path("t.db"), "default", 7233, 8233, "http://127.0.0.1:8080/codec")
    assert {"journal_mode=WAL", "synchronous=FULL"} <= set(command)
    assert command[command.index("--ui-codec-endpoint") + 1] == "http://127.0.0.1:8080/codec"


def test_free_port_avoids_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
