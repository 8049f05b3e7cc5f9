# ruff: noqa: INP001 - an example, no package
"""Receive webhooks on port 9000 and print those that are genuine; needs only Python.

WEBHOOK_KEY=<the destination's signing_key> python docs/examples/webhook_receiver.py
"""

import hashlib
import hmac
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = os.environ["WEBHOOK_KEY"].encode()
OLDEST_S = 300


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine and 403 to everything else."""

    def do_POST(self) -> None:
        """Verify, then print."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = self._is_genuine(body)
        if genuine:
            sys.stdout.write(body.decode() + "\n")
            sys.stdout.flush()
        self.send_response(204 if genuine else 403)
        self.end_headers()

    def _is_genuine(self, body: bytes) -> bool:
        timestamp = self.headers.get("Fracture-Timestamp", "")
        signature = self.headers.get("Fracture-Signature", "")
        if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > OLDEST_S:
            return False
        wanted = hmac.new(KEY, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        given = [part.removeprefix("v1=") for part in signature.split(",")]
        return any(hmac.compare_digest(wanted, each) for each in given)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
