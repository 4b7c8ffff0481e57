"""`python -m trillium` is the `trillium` command."""

from trillium.cli import main

if __name__ == "__main__":
    main()
