"""RemoteMonitor: the logs of every epoch, sent to a server."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.spellings import user_level

# A server that accepts and never answers must not stop training.
TIMEOUT_SECONDS = 10.0


def plain(value: Any) -> Any:
    """Turn a log value into what JSON holds.

    Example:
        >>> from staghorn.callbacks.remote_monitor import plain
        >>> plain(np.float32(0.5)), plain(np.ones(2))
        (0.5, [1.0, 1.0])
    """
    return np.asarray(value).tolist() if hasattr(value, "__array__") else value


class RemoteMonitor(Callback):
    """Send the logs of every epoch to a server by HTTP POST.

    The message is a JSON object with `epoch` and the names of the logs; by default it is the value
    of one field of a form.

    Args:
        root: address of the server; default "http://localhost:9000".
        path: path of the messages at the server; default "/publish/epoch/end/".
        field: name of the form's field; default "data".
        headers: dict of further HTTP headers; default None.
        send_as_json: send the JSON itself, as `application/json`, instead of a form; default
            False.

    Raises:
        ValueError: `root` is not an `http://` or `https://` address.

    Example:
        >>> staghorn.callbacks.RemoteMonitor("http://127.0.0.1:8000").url
        'http://127.0.0.1:8000/publish/epoch/end/'

    Notes:
        Needs no other package (Keras uses `requests`). A server that cannot be reached, answers
        with an error or takes more than 10 seconds makes one warning per `fit`, and training goes
        on. Keras warns in every epoch and waits without end.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(root, str) or not root.startswith(("http://", "https://")):
            raise ValueError(
                "RemoteMonitor: root must begin with 'http://' or 'https://', as in "
                f"'http://localhost:9000', got {root!r} ({type(root).__name__})."
            )
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json
        self._warned = False

    @property
    def url(self) -> str:
        """Where the messages go."""
        return self.root + self.path

    def on_train_begin(self, logs: Logs = None) -> None:
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        message = {"epoch": epoch, **{name: plain(value) for name, value in (logs or {}).items()}}
        try:
            with urllib.request.urlopen(self.request(message), timeout=TIMEOUT_SECONDS):
                pass
        # ValueError: an address or a header that cannot be sent.
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._warn(error)

    def request(self, message: Mapping[str, Any]) -> urllib.request.Request:
        """Return the HTTP request that carries a message.

        Example:
            >>> monitor = staghorn.callbacks.RemoteMonitor(send_as_json=True)
            >>> monitor.request({"epoch": 0, "loss": 0.5}).data
            b'{"epoch": 0, "loss": 0.5}'
        """
        text = json.dumps(message)
        if self.send_as_json:
            kind, body = "application/json", text
        else:
            kind, body = (
                "application/x-www-form-urlencoded",
                urllib.parse.urlencode({self.field: text}),
            )
        headers = {"Content-Type": kind, **(self.headers or {})}
        return urllib.request.Request(self.url, body.encode(), headers, method="POST")

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"RemoteMonitor: could not send the logs to {self.url} ({error}). Training goes on; "
            "there is no further warning in this fit.",
            stacklevel=user_level(),
        )
