"""`deliveries`: results for a destination that is no longer in the settings."""

from __future__ import annotations

import json

PACS = '[[destinations]]\nname = "new"\nae_title = "NEW"\nhost = "127.0.0.1"\nport = 104\n'
WAITING = {"attempts": 0}


def test_status_names_deliveries_to_a_removed_destination_until_they_are_moved(command, config, a_study):
    a_study(delivery=WAITING)
    output = command("status", "-c", config).output
    assert "1 delivery waits for pacs, which is no longer in the settings" in output
    assert json.loads(command("status", "-c", config, "--json").output)["stranded"] == {"pacs": 1}
    assert command("deliveries", "move", "pacs", "new", "-c", config).exit_code != 0, "there is no such destination"
    config.write_text(config.read_text() + PACS)
    assert command("deliveries", "move", "pacs", "new", "-c", config).output == "1 delivery to pacs moved to new\n"
    assert "no destination any more" not in command("status", "-c", config).output
    assert command("deliveries", "drop", "new", "-c", config).exit_code != 0, "the node may be sending it"


def test_deliveries_to_a_removed_destination_can_be_dropped(command, config, a_study):
    a_study(delivery=WAITING)
    assert command("deliveries", "drop", "pacs", "-c", config).output == "1 delivery to pacs dropped\n"
    assert "pacs" not in command("status", "-c", config).output
