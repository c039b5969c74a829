"""Healthy means: the gateway of this container says that it can serve."""

import sys
from http.client import HTTPConnection, HTTPException

HOST, PORT = "127.0.0.1", 8080  # where docker-compose.yml has it listen
ANSWER_WITHIN_S = 4.0


def serves(port: int = PORT) -> bool:
    """Ask `/readyz`; 503, another answer and none at all are no."""
    connection = HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not serves())
