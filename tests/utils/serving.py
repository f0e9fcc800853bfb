"""A server on this machine for tests of downloads, with the faults that networks have."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """What is served, how it fails, and what was asked for."""

    def __init__(self, address):
        self.address = address
        self.files = {}  # path without the slash → bytes
        self.ranges = True
        self.tags = True  # ETag
        self.date = None  # Last-Modified
        self.lies = None  # a Content-Range to answer with, whatever was asked for
        self.lengths = True
        self.cuts = []  # for each request to come: bytes after which the connection ends
        self.states = []  # for each request to come: the HTTP state to answer with, or None
        self.asked = []  # (path, Range or None)
        self.gate = threading.Event()  # answers wait for it
        self.gate.set()

    def url(self, name):
        return f"{self.address}/{name}"

    def answer(self, handler):
        name, span = handler.path.lstrip("/").split("?")[0], handler.headers.get("Range")
        self.asked.append((name, span))
        self.gate.wait(10)
        state = self.states.pop(0) if self.states else None
        if state or name not in self.files:
            handler.send_error(state or 404)
            return
        content, status, start = self.files[name], 200, 0
        tag = f'"{hashlib.md5(content).hexdigest()}"' if self.tags else None
        if span and self.ranges and handler.headers.get("If-Range") in (tag, self.date):
            status, start = 206, int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                handler.send_error(416)
                return
        handler.send_response(status)
        if self.lengths:
            handler.send_header("Content-Length", str(len(content) - start))
        if status == 206:
            whole = f"bytes {start}-{len(content) - 1}/{len(content)}"
            handler.send_header("Content-Range", self.lies or whole)
        for header, value in (("ETag", tag), ("Last-Modified", self.date)):
            if value:
                handler.send_header(header, value)
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        handler.wfile.write(content[start:][:cut])
        handler.wfile.flush()


@contextmanager
def serving():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # the connection ends with each answer

        def do_GET(self):
            server.answer(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
