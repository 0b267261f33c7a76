"""A model hub on this machine: what the Hugging Face hub answers, and what it says when it won't."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class HubServer(ThreadingHTTPServer):
    """Serves `repositories`: (address, revision) -> folder.

    `gated`: address -> token that opens it. `statuses`: address -> status of every answer about its
    files. `cut`: names of files that are sent without their last byte. `requests`: (method, path,
    token or None) of each request.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories, self.gated, self.statuses = {}, {}, {}
        self.cut, self.requests = set(), []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, address: str, revision: str) -> str:
        return hashlib.sha1(f"{address} {revision}".encode()).hexdigest()

    def revision(self, address: str, name: str) -> str | None:
        """Revision by its name or its commit."""
        known = [revision for one, revision in self.repositories if one == address]
        return next((one for one in known if name in (one, self.commit(address, one))), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body: bool):
        path = unquote(urlsplit(self.path).path).strip("/")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.server.requests.append((self.command, path, token))
        status, headers, body = self.content(path, token)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            name = path.rpartition("/")[2]
            self.wfile.write(body[:-1] if name in self.server.cut else body)
            self.close_connection = name in self.server.cut

    def content(self, path: str, token: str | None) -> tuple[int, dict[str, str], bytes]:
        parts = path.split("/")
        api = parts[:2] == ["api", "models"]
        parts = parts[2:] if api else parts
        if len(parts) < 4:
            return 404, {}, b""
        address, kind, name = "/".join(parts[:2]), parts[2], parts[3]
        server = self.server
        if address not in {one for one, _ in server.repositories}:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        revision = server.revision(address, name)
        if revision is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        folder, commit = server.repositories[address, revision], server.commit(address, revision)
        if api:
            return 200, {}, json.dumps(_listing(folder, kind, address, commit)).encode()
        if address in server.gated and token != server.gated[address]:
            return 403 if token else 401, {"X-Error-Code": "GatedRepo"}, b""
        if address in server.statuses:
            return server.statuses[address], {}, b""
        file = folder / "/".join(parts[4:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        body = file.read_bytes()
        etag = hashlib.sha1(body).hexdigest()
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}, body

    def log_message(self, *arguments):
        pass


def _listing(folder: Path, kind: str, address: str, commit: str):
    files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    if kind == "tree":
        return [
            {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
            for file in files
        ]
    return {"id": address, "sha": commit, "siblings": [{"rfilename": file.name} for file in files]}


@contextmanager
def hub_server():
    """A running `HubServer`."""
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
