"""`python -m node` is `mammo-node`.

The command line is imported when it is called: a process that the node spawns imports this file again, and needs
nothing of it.
"""


def main() -> None:
    """Runs a command; see node/cli/main.py."""
    from node.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
