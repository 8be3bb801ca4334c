"""The command line: ``python -m pipelines COMMAND``."""

from pipelines.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pipelines")
