"""RemoteMonitor: what a server receives, and what happens without one."""

import json
import threading
import urllib.parse
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import RemoteMonitor
from tests.callbacks.fakes import drive
from tests.oracle import keras


@pytest.fixture
def server(monkeypatch):
    """A server on this machine: its address and the requests it got."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, dict(self.headers), body))
            self.send_response(500 if self.path.startswith("/broken") else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", received
        running.shutdown()
        thread.join()


LOGS = [{"loss": 0.5, "count": np.int64(3), "rate": np.float32(0.25)}, {"loss": 0.25}]
SENT = [{"epoch": 0, "loss": 0.5, "count": 3, "rate": 0.25}, {"epoch": 1, "loss": 0.25}]


def field(body, name="data"):
    return json.loads(urllib.parse.parse_qs(body)[name][0])


def test_a_form(server):
    root, received = server
    drive([RemoteMonitor(root)], LOGS)
    assert [path for path, *_ in received] == ["/publish/epoch/end/"] * 2
    assert [headers["Content-Type"] for _, headers, _ in received] == [
        "application/x-www-form-urlencoded"
    ] * 2
    assert [field(body) for *_, body in received] == SENT


def test_json(server):
    root, received = server
    monitor = RemoteMonitor(root, "/logs", headers={"X-Token": "secret"}, send_as_json=True)
    drive([monitor], LOGS)
    assert [path for path, *_ in received] == ["/logs"] * 2
    assert {headers["Content-Type"] for _, headers, _ in received} == {"application/json"}
    assert {headers["X-Token"] for _, headers, _ in received} == {"secret"}
    assert [json.loads(body) for *_, body in received] == SENT


@pytest.mark.parametrize("options", [{}, {"send_as_json": True}, {"field": "logs", "path": "/x"}])
def test_the_oracle_sends_the_same(server, options):
    pytest.importorskip("requests", reason="keras sends with requests, which is not installed")
    root, received = server
    for library in (staghorn, keras):
        drive([library.callbacks.RemoteMonitor(root, **options)], LOGS)
    ours, theirs = received[:2], received[2:]
    assert [(path, body) for path, _, body in ours] == [(path, body) for path, _, body in theirs]
    assert ours[0][1]["Content-Type"] == theirs[0][1]["Content-Type"]


def test_arrays_and_numbers_that_are_not_finite(server):
    root, received = server
    drive([RemoteMonitor(root)], [{"loss": float("nan"), "f1": np.array([0.5, 1.0])}])
    message = field(received[0][2])
    assert message["loss"] != message["loss"]
    assert message["f1"] == [0.5, 1.0]


def test_training_sends(server):
    root, received = server
    model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(
        np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[RemoteMonitor(root)]
    )
    sent = [field(body)["loss"] for *_, body in received]
    assert sent == pytest.approx(history.history["loss"])


def free_port():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as unused:
        return unused.server_port


def test_no_server_warns_once_per_fit(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    monitor = RemoteMonitor(f"http://127.0.0.1:{free_port()}")
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"could not send the logs to .* Training goes on"
        ) as w:
            model = drive([monitor], LOGS)
        assert len(w) == 1
        assert model.weights[0] in (2, 4)


def test_an_error_of_the_server_warns(server):
    root, received = server
    with pytest.warns(UserWarning, match="500"):
        drive([RemoteMonitor(root, "/broken")], LOGS)
    assert len(received) == 2


def test_a_header_that_cannot_be_sent_warns(server):
    with pytest.warns(UserWarning, match="could not send"):
        drive([RemoteMonitor(server[0], headers={"X": "two\nlines"})], LOGS)


@pytest.mark.parametrize("root", ["localhost:9000", "file:///etc", "", None])
def test_wrong_root(root):
    with pytest.raises(ValueError, match="root must begin with 'http://' or 'https://'"):
        RemoteMonitor(root)


def test_nothing_happens_before_training():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not RemoteMonitor().needs_batches
