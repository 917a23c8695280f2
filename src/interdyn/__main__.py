"""`python -m interdyn`: the command `interdyn`."""

from interdyn.cli import main

if __name__ == "__main__":
    main()
