"""`mammo-node users`."""

from __future__ import annotations


def test_accounts_are_added_listed_changed_and_removed(command, config, sessions, tmp_path):
    password = tmp_path / "password"
    password.write_text("a long enough one\n")

    def users(*arguments: object):
        return command("users", *arguments, "--config", config)

    assert "no accounts" in users("list").output
    added = users("add", "ann", "--role", "operator", "--password-file", password)
    assert "account ann (operator) added" in added.output
    assert "ann  operator, since" in users("list").output
    assert '"role": "operator"' in users("list", "--json").output
    assert users("password", "ann", "--password-file", password).exit_code == 0
    assert users("remove", "ann").exit_code == 0
    assert "no accounts" in users("list").output


def test_a_password_that_is_too_short_is_refused(command, config, sessions, tmp_path):
    password = tmp_path / "password"
    password.write_text("short\n")
    answer = command("users", "add", "ann", "--password-file", password, "--config", config)
    assert "12 letters at least" in str(answer.exception)
