"""Stands in for ``opencode serve``: the same lines, the same health route, and faults on demand.

Runs with the standard library alone. The variable FAKE_OPENCODE holds words, separated by spaces:

    exit        ends at once, as when the port is taken
    crowded     ends at once, the first two times in a directory, as when another starts there
    silent      never says where it listens
    stuck       accepts its first two connections and never answers them
    sick        says that it is not healthy
    locked      refuses every password
    dies        ends as soon as it is asked for its health
    post        ends in the middle of its first POST
    stubborn    ignores SIGTERM
    chatty      writes more than a pipe holds, to both outputs, before and after it listens
"""

import base64
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

faults = os.environ.get("FAKE_OPENCODE", "").split()
password = os.environ.get("OPENCODE_SERVER_PASSWORD", "")
user = os.environ.get("OPENCODE_SERVER_USERNAME", "opencode")
expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
sessions = []
stuck = [threading.Event(), threading.Event()] if "stuck" in faults else []


def chat():
    if "chatty" in faults:
        for stream in (sys.stdout, sys.stderr):
            for _ in range(400):
                stream.write("x" * 1000 + "\n")
            stream.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if stuck:
            stuck.pop().wait()
        if "dies" in faults:
            os._exit(7)
        if "locked" in faults or (password and self.headers.get("Authorization") != expected):
            return self.send(401, None)
        path = self.path.partition("?")[0]
        if path == "/global/health":
            return self.send(200, {"healthy": "sick" not in faults, "version": "0"})
        if self.command == "POST":
            if "post" in faults:
                os._exit(7)
            session = {"id": f"ses_{len(sessions)}", "directory": os.getcwd(), **json.loads(body)}
            sessions.append(session)
            return self.send(200, session)
        return self.send(200, sessions)

    def send(self, status, value):
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer


def main():
    if "stubborn" in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    chat()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    try:
        if "crowded" in faults:
            starts = os.path.join(os.getcwd(), "starts")
            with open(starts, "a") as file:
                file.write(".")
            if os.path.getsize(starts) <= 1:
                raise OSError("Failed query: CREATE TABLE `workspace` ( `id` text ); params:")
            if os.path.getsize(starts) <= 2:
                raise OSError("database is locked")
        if "exit" in faults:
            raise OSError
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        words = "ServeError" if error.errno or not error.args else error
        sys.stderr.write(f"\x1b[91mError: \x1b[0mUnexpected error\n\n{words}\n")
        sys.exit(1)
    if not password:
        print("Warning: OPENCODE_SERVER_PASSWORD is not set; server is unsecured.", flush=True)
    if "silent" not in faults:
        print(f"opencode server listening on http://127.0.0.1:{server.server_port}", flush=True)
    chat()
    server.serve_forever()


main()
