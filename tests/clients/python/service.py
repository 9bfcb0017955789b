"""An HTTP service that tests ask about log-ins and keys: service.py [CERTIFICATE KEY]

It prints its port, then a line for each request. Whether it goes on is up to stdin: it ends with it.

POST /login    allows amy with the password `right`, denies others; who is named `nobody` is passed on; somebody who was let in
               may stay; whoever stands in the file disabled in its folder is denied
POST /full     allows all, with all that an answer can hold
GET  /keys     what the file keys.json in its folder holds
ANY  /status/N answers so
ANY  /slow     never answers
ANY  /large    answers without end
ANY  /away     redirects to /login
"""

import json
import os
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FULL = {
    "result": "allow",
    "username": "amy@plant",
    "client_id": "pump-17",
    "groups": ["ops"],
    "attributes": {"site": "north"},
    "acl": {"pub": ["a/#"]},
    "expires_in": 60,
}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def login(self, asked):
        if asked.get("username") == "nobody":
            return {"result": "pass"}
        if os.path.exists("disabled"):
            with open("disabled", encoding="utf-8") as disabled:
                if asked.get("username") in disabled.read().split():
                    return {"result": "deny"}
        if asked.get("recheck"):
            return {"result": "deny" if "password" in asked else "allow"}
        right = asked.get("username") == "amy" and asked.get("password") == "right"
        return {"result": "allow" if right else "deny", "groups": ["ops"]}

    def handle_any(self):
        length = int(self.headers.get("Content-Length", 0))
        asked = json.loads(self.rfile.read(length) or b"{}")
        again = ["again"] if asked.get("recheck") else []
        print(self.command, self.path, self.headers.get("Authorization", "-"), *again, flush=True)
        if self.path == "/login":
            self.answer(200, self.login(asked))
        elif self.path == "/full":
            self.answer(200, FULL)
        elif self.path == "/keys":
            with open("keys.json", encoding="utf-8") as keys:
                self.answer(200, json.load(keys))
        elif self.path.startswith("/status/"):
            self.answer(int(self.path.removeprefix("/status/")))
        elif self.path == "/slow":
            threading.Event().wait()
        elif self.path == "/large":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * 65536)
            except OSError:
                self.close_connection = True
        elif self.path == "/away":
            self.answer(307, headers=[("Location", "/login")])

    do_GET = do_POST = handle_any

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
