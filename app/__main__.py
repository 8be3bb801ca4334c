"""The entry point of the container image: ``python -m app`` or ``python -m app serve``.

SageMaker starts an image with the argument ``serve``. gunicorn replaces the process and so receives
the signals of the container engine itself.
"""

import os
import sys

GUNICORN = ("-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wsgi:app")


def main(arguments: list[str]) -> None:
    """Replace the process with gunicorn; exit with status 2 if the arguments are not allowed.

    Args:
        arguments: an empty list or ``["serve"]``.
    """
    if arguments not in ([], ["serve"]):
        sys.stderr.write(
            f"error: expected no argument or `serve`; received {' '.join(arguments)!r}\n"
            "Settings are environment variables (docs/settings.md). Options of gunicorn belong in "
            "GUNICORN_CMD_ARGS.\n"
        )
        sys.exit(2)
    os.execv(sys.executable, [sys.executable, *GUNICORN])


if __name__ == "__main__":
    main(sys.argv[1:])
