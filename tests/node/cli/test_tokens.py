"""`mammo-node tokens`."""

from __future__ import annotations

from node.operations.api_tokens import owner_of


def test_tokens_are_made_shown_once_listed_and_removed(command, config, sessions):
    def tokens(*arguments: object):
        return command("tokens", *arguments, "--config", config)

    assert "no tokens" in tokens("list").output
    added = tokens("add", "ris", "--role", "operator")
    token = added.stdout.strip()
    assert token.startswith("mammo_")
    assert "token ris (operator) added" in added.stderr
    with sessions.begin() as session:
        assert owner_of(session, token).name == "ris"
    listed = tokens("list")
    assert "ris  operator, since" in listed.output
    assert token not in listed.output
    assert '"role": "operator"' in tokens("list", "--json").output
    assert "There is a token ris already" in str(tokens("add", "ris").exception)
    assert tokens("remove", "ris").exit_code == 0
    assert "There is no token ris" in str(tokens("remove", "ris").exception)
    with sessions.begin() as session:
        assert owner_of(session, token) is None
