"""Stands in for `heliograph-node run`: FOLDER STATUS-JSON MODE, with MODE one of well, silent, dies, stubborn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = sys.argv[2].encode() if self.path == "/v1/status" else b""
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[3]
    if mode == "dies":
        sys.exit("CFG-001 configuration document is invalid")
    if mode == "silent":
        signal.pause()
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker = subprocess.Popen(["sleep", "600"])
        (folder / "worker.pid").write_text(str(worker.pid))
        signal.signal(signal.SIGTERM, lambda *_: (folder / "asked").touch())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    part = folder / "ready.tmp"
    port = server.server_address[1]
    part.write_text(json.dumps({"port": port, "pid": os.getpid(), "url": f"http://127.0.0.1:{port}"}))
    part.rename(folder / "ready.json")
    server.serve_forever()


main()
