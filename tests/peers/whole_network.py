"""Times a whole Darknet network: our engine, ONNX Runtime from Python and OpenCV's DNN, in turns in one run.

    pip install onnxruntime==1.32.0 'opencv-python-headless<5' numpy
    cargo build --release -p autotiler-onnx --example whole_network
    ORT_DYLIB_PATH=.../libonnxruntime.so.1.32.0 python tests/peers/whole_network.py \
        target/release/examples/whole_network NETWORK.cfg NETWORK.weights

All run batch 1 in float32 on the same machine and threads; ONNX Runtime in Python gets the model that our
engine runs, with its default options and with ours. Prints one line per setting: medians in milliseconds and the
ratios of ours to the others.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy
import onnxruntime

WARM_UP_RUNS = 10


class Ours:
    """The example program, one run per line; it takes the time itself."""

    def __init__(self, program, cfg, weights, threads, spinning):
        command = [program, "serve", cfg, weights, str(threads), str(spinning).lower()]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the example did not start"

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e6

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Timed:
    """A function, timed here."""

    def __init__(self, function):
        self.function = function

    def run(self):
        start = time.perf_counter_ns()
        self.function()
        return (time.perf_counter_ns() - start) / 1e6

    def close(self):
        pass


def picture(shape):
    count = int(numpy.prod(shape))
    return ((numpy.arange(count) % 251) / 250.0).astype(numpy.float32).reshape(shape)


def onnx_runtime(model, threads, spinning):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    inputs = {source.name: picture([1, *source.shape[1:]])}
    return Timed(lambda: session.run(None, inputs))


def opencv(cfg, weights, shape, threads):
    network = cv2.dnn.readNetFromDarknet(cfg, weights)
    network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    names = network.getUnconnectedOutLayersNames()
    values = picture(shape)

    def forward():
        # Set at each run: the setting is one for the whole process.
        cv2.setNumThreads(threads)
        network.setInput(values)
        network.forward(names)

    return Timed(forward)


def compare(arguments, model, threads, spinning):
    source = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).get_inputs()[0]
    runners = {
        "ours": Ours(arguments.program, arguments.cfg, arguments.weights, threads, spinning),
        "onnxruntime": onnx_runtime(model, threads, True),
        "onnxruntime_same_options": onnx_runtime(model, threads, spinning),
        "opencv": opencv(arguments.cfg, arguments.weights, [1, *source.shape[1:]], threads),
    }
    times = {name: [] for name in runners}
    for turn in range(WARM_UP_RUNS + arguments.runs // arguments.burst):
        for name, runner in runners.items():
            # A few runs in a row, as in a stream, and a pause so that the last one's spinning threads rest.
            time.sleep(0.005)
            burst = [runner.run() for _ in range(arguments.burst)]
            if turn >= WARM_UP_RUNS:
                times[name] += burst
    for runner in runners.values():
        runner.close()
    p50 = {name: statistics.median(values) for name, values in times.items()}
    line = {"threads": threads, "spinning": spinning}
    line |= {f"{name}_p50_ms": round(value, 2) for name, value in p50.items()}
    # Beside a median that other work on the machine has lengthened, the least shows what is possible.
    line |= {f"{name}_min_ms": round(min(values), 2) for name, values in times.items()}
    line |= {f"ours_to_{name}": round(p50["ours"] / p50[name], 2) for name in p50 if name != "ours"}
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the built example whole_network")
    parser.add_argument("cfg")
    parser.add_argument("weights")
    parser.add_argument("--runs", type=int, default=100, help="runs of each, after the warm-up")
    parser.add_argument("--burst", type=int, default=5, help="runs of one before the next one's turn")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "whole.onnx"
        subprocess.run([arguments.program, "export", arguments.cfg, arguments.weights, str(model)], check=True)
        for threads, spinning in [(1, False), (2, False), (2, True)]:
            compare(arguments, model, threads, spinning)


if __name__ == "__main__":
    main()
