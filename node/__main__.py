"""`python -m node` is `mammo-node`."""

from node.cli.main import main

if __name__ == "__main__":
    main()
