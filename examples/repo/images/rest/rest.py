#!/usr/bin/python3
"""A small REST service that keeps users in PostgreSQL.

    POST /users        {"name": "...", "email": "..."}  -> 201, the user
    GET  /users        -> 200, all users
    GET  /users/<id>   -> 200, the user
    GET  /version      -> 200, the version of this service
    GET  /healthz      -> 200, the process lives
    GET  /ready        -> 200, the process takes requests

Neither health question asks the database: if it did, a restart of the database
would take every replica of this service out of traffic. A request that comes
meanwhile waits for its connection instead.
"""

import json
import os
import re
import signal
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
from psycopg2.extras import RealDictCursor

PORT = int(os.environ.get("PORT", "8000"))
VERSION = os.environ.get("VERSION", "0")
DATABASE = {
    "host": os.environ.get("DATABASE_HOST", "localhost"),
    "dbname": os.environ.get("DATABASE_NAME", "shop"),
    "user": os.environ.get("DATABASE_USER", "shop"),
    "password": os.environ.get("DATABASE_PASSWORD", ""),
    # Longer than the address of the database holds a connection while it restarts.
    "connect_timeout": 30,
}
LONGEST_BODY = 64 * 1024


class Invalid(Exception):
    """The client's request cannot be understood; the text says why."""


def query(statement, *values):
    """Runs one statement in a transaction on a connection of its own; returns its rows."""
    with closing(psycopg2.connect(**DATABASE)) as connection:
        with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


class Handler(BaseHTTPRequestHandler):
    """Answers one request; the connection is closed after it (HTTP/1.0)."""

    timeout = 30  # seconds that a client may be silent

    def do_GET(self):
        """Reads."""
        if self.path in ("/healthz", "/ready"):
            self.answer(200, {"status": "ok"})
        elif self.path == "/version":
            self.answer(200, {"version": VERSION})
        elif self.path == "/users":
            self.run(lambda: (200, query("SELECT id, name, email FROM users ORDER BY id")))
        elif match := re.fullmatch(r"/users/([0-9]{1,18})", self.path):
            self.run(lambda: self.user(int(match[1])))
        else:
            self.answer(404, {"error": "no such path"})

    def do_POST(self):
        """Creates."""
        if self.path == "/users":
            self.run(self.create)
        else:
            self.answer(404, {"error": "no such path"})

    def user(self, number):
        """Returns the user of that number."""
        rows = query("SELECT id, name, email FROM users WHERE id = %s", number)
        return (200, rows[0]) if rows else (404, {"error": "no such user"})

    def create(self):
        """Stores the user in the request's body."""
        user = self.body()
        rows = query(
            "INSERT INTO users (name, email) VALUES (%s, %s) RETURNING id, name, email",
            user["name"],
            user["email"],
        )
        return 201, rows[0]

    def body(self):
        """Returns the checked body: a JSON object with the texts `name` and `email`."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            raise Invalid(f"the body needs a Content-Length of at most {LONGEST_BODY}")
        try:
            user = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Invalid("the body is not JSON") from error
        for field in ("name", "email"):
            if not isinstance(user, dict) or not isinstance(user.get(field), str) or not user[field]:
                raise Invalid(f"`{field}` must be a text")
        return user

    def run(self, action):
        """Answers with what the action returns, or with what went wrong."""
        try:
            status, content = action()
        except Invalid as error:
            status, content = 400, {"error": str(error)}
        except psycopg2.Error as error:
            self.log_error("database: %s", error)
            status, content = 503, {"error": "the database does not answer"}
        self.answer(status, content)

    def answer(self, status, content):
        """Sends a JSON answer."""
        content = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code="-", size="-"):
        """Logs every request but the health questions, which would drown the others."""
        if self.path not in ("/healthz", "/ready"):
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    """One thread per request, and none is cut off when the server ends."""

    daemon_threads = False
    request_queue_size = 128


def main():
    """Serves until SIGTERM, then finishes the requests that are running."""
    with Server(("", PORT), Handler) as server:
        # `shutdown` waits for the accept loop, so it must not run on the loop's own thread.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"version {VERSION} listens on port {PORT}", flush=True)
        server.serve_forever(poll_interval=0.1)
    print("all requests are finished", flush=True)


if __name__ == "__main__":
    main()
