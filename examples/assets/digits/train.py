"""Makes the files of this folder: digits.onnx and images/*.png.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python train.py            # trains, writes digits.onnx and images/
    venv/bin/python train.py --check    # runs the files that are there, prints their accuracy

A small convolutional network is trained with numpy alone on two thirds of the handwritten digits that
scikit-learn ships, and exported as ONNX. The other third, which training never sees, is written as PNG files. All
randomness comes from one seed and all arithmetic from one thread, so that a second run on the same machine writes the
same bytes.
"""

import os

# One thread, so that sums are taken in the same order in every run. Must be said before numpy is loaded.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import pathlib
import struct
import zlib

import numpy as np

SEED = 310
EPOCHS = 30
BATCH = 32
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
CONV1, CONV2, HIDDEN, CLASSES = 16, 32, 64, 10
HERE = pathlib.Path(__file__).resolve().parent


# --- Data ---------------------------------------------------------------------------------------------------------


def split(labels):
    """Indices of the training and of the test part: of each class, a random third is for testing."""
    random = np.random.RandomState(SEED)
    train, test = [], []
    for digit in range(CLASSES):
        indices = random.permutation(np.flatnonzero(labels == digit))
        held_out = round(len(indices) / 3)
        test.extend(indices[:held_out])
        train.extend(indices[held_out:])
    return np.sort(train), np.sort(test)


def to_pixels(images):
    """The set has 17 grey levels, 0 (paper) to 16 (ink). Times 15 they fit a byte without loss."""
    return (images * 15).astype(np.uint8)


def to_input(pixels):
    """What the network eats, float32 [n, 1, 8, 8]. This line is the whole preprocessing."""
    return (pixels.astype(np.float32) / np.float32(255))[:, None, :, :]


# --- PNG, 8-bit greyscale -----------------------------------------------------------------------------------------


def png_bytes(pixels):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # filter 0 on each row
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def png_pixels(data):
    """Reads what png_bytes wrote, not PNG at large."""
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, width + 1)
    return rows[:, 1:]


# --- The network --------------------------------------------------------------------------------------------------
#
# image [n,1,8,8] - Conv 3x3, 16 - Relu - Conv 3x3, 32 - Relu - MaxPool 2x2 - Flatten - Gemm 64 - Relu - Gemm 10 - Softmax


def initial_weights(random):
    def he(*shape):
        fan_in = int(np.prod(shape[1:]))
        return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    def zeros(n):
        return np.zeros(n, np.float32)

    return {
        "conv1.weight": he(CONV1, 1, 3, 3),
        "conv1.bias": zeros(CONV1),
        "conv2.weight": he(CONV2, CONV1, 3, 3),
        "conv2.bias": zeros(CONV2),
        "fc1.weight": he(HIDDEN, CONV2 * 4 * 4),
        "fc1.bias": zeros(HIDDEN),
        "fc2.weight": he(CLASSES, HIDDEN),
        "fc2.bias": zeros(CLASSES),
    }


def patches(x):
    """im2col of a 3x3 convolution with padding 1: [n, h*w, channels*9]."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n, h * w, c * 9)


def scatter_patches(columns, shape):
    """The adjoint of `patches`: adds each column's nine values back to where they came from."""
    n, c, h, w = shape
    columns = columns.reshape(n, h, w, c, 3, 3)
    padded = np.zeros((n, c, h + 2, w + 2), columns.dtype)
    for dy in range(3):
        for dx in range(3):
            padded[:, :, dy : dy + h, dx : dx + w] += columns[:, :, :, :, dy, dx].transpose(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def conv(x, weight, bias):
    n, _, h, w = x.shape
    columns = patches(x)
    out = columns @ weight.reshape(len(weight), -1).T + bias
    return out.transpose(0, 2, 1).reshape(n, len(weight), h, w), columns


def pool(x):
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    return blocks.max(-1), blocks.argmax(-1)


def unpool(grad, winner):
    n, c, h, w = grad.shape
    blocks = np.zeros((n, c, h, w, 4), grad.dtype)
    np.put_along_axis(blocks, winner[..., None], grad[..., None], -1)
    return blocks.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


def forward(p, x):
    z1, columns1 = conv(x, p["conv1.weight"], p["conv1.bias"])
    a1 = np.maximum(z1, 0)
    z2, columns2 = conv(a1, p["conv2.weight"], p["conv2.bias"])
    a2 = np.maximum(z2, 0)
    pooled, winner = pool(a2)
    flat = pooled.reshape(len(x), -1)
    z3 = flat @ p["fc1.weight"].T + p["fc1.bias"]
    a3 = np.maximum(z3, 0)
    logits = a3 @ p["fc2.weight"].T + p["fc2.bias"]
    exp = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exp / exp.sum(1, keepdims=True)
    return probabilities, (columns1, z1, a1, columns2, z2, winner, flat, z3, a3)


def gradients(p, x, labels):
    """Gradients of the mean cross entropy."""
    probabilities, (columns1, z1, a1, columns2, z2, winner, flat, z3, a3) = forward(p, x)
    n = len(x)
    g = {}

    d_logits = probabilities.copy()
    d_logits[np.arange(n), labels] -= 1
    d_logits /= n
    g["fc2.weight"], g["fc2.bias"] = d_logits.T @ a3, d_logits.sum(0)

    d_z3 = (d_logits @ p["fc2.weight"]) * (z3 > 0)
    g["fc1.weight"], g["fc1.bias"] = d_z3.T @ flat, d_z3.sum(0)

    d_pooled = (d_z3 @ p["fc1.weight"]).reshape(winner.shape)
    d_z2 = unpool(d_pooled, winner) * (z2 > 0)
    d_rows2 = d_z2.reshape(n, CONV2, -1).transpose(0, 2, 1)
    g["conv2.weight"] = np.einsum("npo,npk->ok", d_rows2, columns2, optimize=True).reshape(CONV2, CONV1, 3, 3)
    g["conv2.bias"] = d_rows2.sum((0, 1))

    d_a1 = scatter_patches(d_rows2 @ p["conv2.weight"].reshape(CONV2, -1), a1.shape)
    d_rows1 = (d_a1 * (z1 > 0)).reshape(n, CONV1, -1).transpose(0, 2, 1)
    g["conv1.weight"] = np.einsum("npo,npk->ok", d_rows1, columns1, optimize=True).reshape(CONV1, 1, 3, 3)
    g["conv1.bias"] = d_rows1.sum((0, 1))
    return g


def train(x, labels):
    """Adam with decoupled weight decay and a learning rate that falls along half a cosine."""
    random = np.random.RandomState(SEED)
    p = initial_weights(random)
    mean = {name: np.zeros_like(value) for name, value in p.items()}
    square = {name: np.zeros_like(value) for name, value in p.items()}
    steps = EPOCHS * (len(x) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order = random.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            g = gradients(p, x[rows], labels[rows])
            step += 1
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name in p:
                mean[name] = 0.9 * mean[name] + 0.1 * g[name]
                square[name] = 0.999 * square[name] + 0.001 * g[name] ** 2
                update = (mean[name] / (1 - 0.9**step)) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
                decay = WEIGHT_DECAY * p[name] if name.endswith("weight") else 0
                p[name] = (p[name] - rate * (update + decay)).astype(np.float32)
        if (epoch + 1) % 5 == 0:
            guess = forward(p, x)[0].argmax(1)
            print(f"epoch {epoch + 1:2}: accuracy on the training part {np.mean(guess == labels):.4f}", flush=True)
    return p


# --- ONNX ---------------------------------------------------------------------------------------------------------


def onnx_bytes(p):
    from onnx import TensorProto, checker, helper, numpy_helper

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["z1"], "conv1", **same),
        helper.make_node("Relu", ["z1"], ["a1"], "relu1"),
        helper.make_node("Conv", ["a1", "conv2.weight", "conv2.bias"], ["z2"], "conv2", **same),
        helper.make_node("Relu", ["z2"], ["a2"], "relu2"),
        helper.make_node("MaxPool", ["a2"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten", axis=1),
        helper.make_node("Gemm", ["flat", "fc1.weight", "fc1.bias"], ["z3"], "fc1", transB=1),
        helper.make_node("Relu", ["z3"], ["a3"], "relu3"),
        helper.make_node("Gemm", ["a3", "fc2.weight", "fc2.bias"], ["logits"], "fc2", transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in p.items()],
    )
    # Opset 13 and IR 7 belong together and are read by every converter and engine of the last years.
    model = helper.make_model(
        graph, producer_name="ascendcl examples", opset_imports=[helper.make_opsetid("", 13)], ir_version=7
    )
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


# --- Commands -----------------------------------------------------------------------------------------------------


def make():
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = to_pixels(digits.images), digits.target
    train_part, test_part = split(labels)
    print(f"{len(train_part)} images to train on, {len(test_part)} to test on")

    p = train(to_input(pixels[train_part]), labels[train_part])
    guess = forward(p, to_input(pixels[test_part]))[0].argmax(1)
    right = int((guess == labels[test_part]).sum())
    print(f"accuracy on the test part: {right}/{len(test_part)} = {right / len(test_part):.4f}")

    data = onnx_bytes(p)
    (HERE / "digits.onnx").write_bytes(data)
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for index in test_part:
        (folder / f"{index:04}_{labels[index]}.png").write_bytes(png_bytes(pixels[index]))
    print(f"wrote digits.onnx ({len(data)} bytes) and {len(test_part)} images")


def check():
    """Runs the files as they are, through the reference evaluator of the onnx package."""
    from onnx.reference import ReferenceEvaluator

    network = ReferenceEvaluator(str(HERE / "digits.onnx"))
    files = sorted((HERE / "images").glob("*.png"))
    right = 0
    for file in files:
        pixels = png_pixels(file.read_bytes())
        (probabilities,) = network.run(None, {"image": to_input(pixels[None])})
        right += int(probabilities.argmax() == int(file.stem.split("_")[1]))
    print(f"accuracy of digits.onnx on images/: {right}/{len(files)} = {right / len(files):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only evaluate the files that are there")
    check() if parser.parse_args().check else make()
