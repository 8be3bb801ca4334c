"""What a container runs: ``python -m app serve``, or without the word.

SageMaker starts an image with the argument ``serve``. The process becomes gunicorn, so gunicorn
itself gets the signals of whoever started it.

It is run by its folder and not as ``python -m app``, which works too: that would first import the
package, and Flask with it, only to throw both away: 0.2 s of the start.
"""

import os
import sys

GUNICORN = ("-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wsgi:app")


def main(arguments: list[str]) -> None:
    """Become gunicorn, or say what is allowed and exit with status 2.

    Args:
        arguments: nothing, or the one word ``serve``.
    """
    if arguments not in ([], ["serve"]):
        sys.stderr.write(
            "error: the only argument allowed is `serve`, which is also what happens without one; "
            f"received {' '.join(arguments)!r}\n"
            "settings are environment variables, gunicorn's own options go into GUNICORN_CMD_ARGS\n"
        )
        sys.exit(2)
    os.execv(sys.executable, [sys.executable, *GUNICORN])


if __name__ == "__main__":
    main(sys.argv[1:])
