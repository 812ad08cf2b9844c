"""`python -m velocity` and the `velocity` command."""

from velocity.cli.main import main

if __name__ == "__main__":
    main()
