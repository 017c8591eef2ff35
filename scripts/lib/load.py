#!/usr/bin/python3
"""A client that asks a URL all the time, each time on a new connection.

The name is looked up anew for every request. At SIGTERM, or after the given number of
seconds, it finishes and prints one line of JSON: requests, failed, longest and median
wait in seconds, and what answered, by the X-Version header.

    load.py URL [WORKERS] [SECONDS] [PAUSE]
"""

import collections
import http.client
import json
import signal
import statistics
import sys
import threading
import time
import urllib.parse

URL = urllib.parse.urlsplit(sys.argv[1])
WORKERS = int(sys.argv[2]) if len(sys.argv) > 2 else 4
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else None
PAUSE = float(sys.argv[4]) if len(sys.argv) > 4 else 0.01  # between two requests of a worker

stop = threading.Event()
lock = threading.Lock()
waits = []
failures = []
versions = collections.Counter()


def ask():
    """Asks once; notes how long it took, who answered, and why it failed if it did."""
    started = time.monotonic()
    failure = version = None
    connection = http.client.HTTPConnection(URL.hostname, URL.port or 80, timeout=60)
    try:
        connection.request("GET", URL.path or "/")
        answer = connection.getresponse()
        answer.read()
        version = answer.headers.get("X-Version", "none")
        if answer.status != 200:
            failure = f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        failure = repr(error)
    finally:
        connection.close()
    with lock:
        waits.append(time.monotonic() - started)
        if failure is None:
            versions[version] += 1
        else:
            failures.append(failure)
            print(f"failed: {failure}", flush=True)


def work():
    """Asks until it is told to stop."""
    while not stop.is_set():
        ask()
        stop.wait(PAUSE)


def main():
    """Runs the workers and prints what they saw."""
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    print("asking", flush=True)
    stop.wait(SECONDS)
    stop.set()
    for worker in workers:
        worker.join()
    print(
        json.dumps(
            {
                "requests": len(waits),
                "failed": len(failures),
                "longest": round(max(waits, default=0.0), 4),
                "median": round(statistics.median(waits), 4) if waits else 0.0,
                "versions": dict(versions),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
