"""A small HTTP server on this machine, for tests of fetching: it can be slow, stubborn or broken."""

import gzip
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ByteServer(ThreadingHTTPServer):
    """Serves `contents` (path -> bytes) and notes in `requests` each path and its range.

    `ranges`: whether ranges are answered. `cut`: bytes after which a connection breaks.
    `endless`: whether a content is sent again and again, and no length is stated.
    """

    def __init__(self, contents: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents, self.requests = contents, []
        self.ranges, self.cut, self.endless = True, None, False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path not in server.contents:
            return self.send_error(404)
        content, status = server.contents[self.path], 200
        headers = {}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers = gzip.compress(content), {"Content-Encoding": "gzip"}
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                return self.send_error(416)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self.send_response(status)
        if not server.endless:
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: server.cut])
        with suppress(ConnectionError):
            while server.endless:
                self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def byte_server(contents: dict[str, bytes]):
    """A running `ByteServer`."""
    with ByteServer(contents) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.endless = False
            server.shutdown()
            thread.join()
