"""A headless Chromium driven over a pipe with the DevTools protocol, for tests of pages."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE = 180  # seconds, on a busy machine


class Browser:
    """One browser process with one tab at a time."""

    def __init__(self, profile: Path):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no chromium here: apt-get install chromium")
        command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        theirs_in, ours_out = _pipe()
        ours_in, theirs_out = _pipe()
        self._process = subprocess.Popen(
            # The browser reads from descriptor 3 and writes to 4.
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "-", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in, self._rest = ours_out, ours_in, b""
        self._number, self._session = 0, None
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def open(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Loads `url` in a new tab and forgets what earlier tabs asked for and complained of."""
        self._session = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", features=scheme)
        self.requests, self.complaints = [], []
        self._call("Page.navigate", url=url)
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

    def value(self, expression: str):
        """What a JavaScript expression, or its promise, gives in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Returns once the expression is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}; the page said {self.complaints}"
            time.sleep(0.05)

    def middle(self, selector: str, across: float = 0.5) -> tuple[float, float]:
        """Where an element is in the window, after scrolling to it; `across`: share of its width from the left."""
        find = f"document.querySelector({json.dumps(selector)})"
        box = self.value(
            f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}}), {find}.getBoundingClientRect().toJSON()"
        )
        return box["x"] + box["width"] * across, box["y"] + box["height"] / 2

    def click(self, selector: str, across: float = 0.5) -> None:
        """Presses and releases the mouse on an element."""
        self.drag(selector, across, across)

    def drag(self, selector: str, start: float, end: float) -> None:
        """Drags the mouse over an element from one share of its width to another."""
        for kind, across in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            x, y = self.middle(selector, across)
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def hover(self, selector: str, across: float = 0.5) -> None:
        """Moves the mouse onto an element."""
        x, y = self.middle(selector, across)
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def fill(self, selector: str, text: str) -> None:
        """Puts `text` into a field in place of what is there."""
        self.value(
            f"(field => {{ Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, "
            f"{json.dumps(text)}); field.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def upload(self, selector: str, path: Path) -> None:
        """Chooses a file in an element that takes files."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait(timeout=_PATIENCE)
        os.close(self._out)
        os.close(self._in)

    def _call(self, method: str, **params) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _read(self, deadline: float) -> dict:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._in, 1 << 16)
            assert piece, "the browser has ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def _note(self, event: dict) -> None:
        params = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))


def _pipe() -> tuple[int, int]:
    """A pipe's ends as descriptors above those that the browser is given."""
    import fcntl  # which Windows lacks

    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
