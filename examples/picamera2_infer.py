"""Label what a Raspberry Pi's camera sees, by a running `legodnn serve`.

    sudo apt install python3-picamera2          # is there on Raspberry Pi OS with a desktop
    python3 picamera2_infer.py faces            # a model of the service at 127.0.0.1:8080

Frames go to the service as JPEG, and it makes the model's input of them as the store says: nothing of LegoDNN is needed
here.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import time
from typing import Any


def infer(service: http.client.HTTPConnection, model: str, jpeg: bytes) -> tuple[list[float], float]:
    """Send one picture, and return the first output and the latency in ms; waits and tries again where it is asked to.

    Raises:
        RuntimeError: the service refused the request for good.
    """
    while True:
        service.request("POST", f"/v1/models/{model}/infer", jpeg, {"Content-Type": "image/jpeg"})
        answer = service.getresponse()
        body = answer.read()
        if answer.status == 200:
            outputs: dict[str, list[float]] = json.loads(body)["outputs"]
            return next(iter(outputs.values())), float(answer.headers["X-Latency-Ms"])
        if answer.status not in (429, 503):  # many requests, or no room for the model under the present budget
            raise RuntimeError(json.loads(body)["error"])
        time.sleep(int(answer.headers.get("Retry-After", "1")))


def labels(service: http.client.HTTPConnection, model: str) -> list[str]:
    """Return a model's labels; empty if its store has none."""
    service.request("GET", "/v1/models")
    models: dict[str, Any] = json.loads(service.getresponse().read())
    if model not in models:
        raise SystemExit(f"no model {model}; the service has {', '.join(models)}")
    return list(models[model]["labels"])


def main() -> None:
    """Show the best label of every frame, until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the model's name in the workload")
    parser.add_argument("--service", default="127.0.0.1:8080", metavar="HOST:PORT")
    args = parser.parse_args()

    from picamera2 import Picamera2  # Raspberry Pi OS has it, the package index's builds need a compiler

    service = http.client.HTTPConnection(args.service, timeout=60)
    names = labels(service, args.model)
    with Picamera2() as camera:
        camera.configure(camera.create_still_configuration(main={"size": (640, 480)}, buffer_count=2))
        camera.start()
        while True:
            jpeg = io.BytesIO()
            camera.capture_file(jpeg, format="jpeg")
            scores, latency_ms = infer(service, args.model, jpeg.getvalue())
            best = max(range(len(scores)), key=scores.__getitem__)
            print(f"{names[best] if names else best}  {latency_ms:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
