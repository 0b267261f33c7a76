"""A small HTTP server on this machine, for tests of fetching: it can be slow, stubborn or broken."""

import gzip
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ByteServer(ThreadingHTTPServer):
    """Serves `contents` (path -> bytes) and notes in `requests` each path and its range.

    `ranges`: whether ranges are answered. `cut`: bytes after which a connection breaks, or with
    `stall` goes silent, once for each of the `broken` connections. `lengths`: whether a length is
    stated. `endless`: whether a content is sent again and again, without one. `statuses`: answers
    given first, one for each request. `redirects`: path -> address. `meeting`: a barrier at which
    requests wait for each other; `most_at_once`: how many there have been at a time.
    """

    def __init__(self, contents: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents, self.requests = contents, []
        self.ranges, self.lengths, self.endless = True, True, False
        self.cut, self.broken, self.stall = None, float("inf"), False
        self.statuses, self.redirects = [], {}
        self.meeting, self.most_at_once, self._now, self._lock = None, 0, 0, threading.Lock()
        self.ended = threading.Event()

    @contextmanager
    def counted(self):
        """Note how many requests there are at a time."""
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.meeting:
                self.meeting.wait(timeout=60)
            yield
        finally:
            with self._lock:
                self._now -= 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.counted():
            self.answer()

    def answer(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            return self.end_headers()
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
        if server.lengths and not server.endless:
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        server.broken -= 1
        self.wfile.write(content[: server.cut if server.broken >= 0 else None])
        if server.stall and server.broken >= 0:
            server.ended.wait()
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
            server.ended.set()
            server.shutdown()
            thread.join()
