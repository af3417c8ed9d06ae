"""Trains a classifier of handwritten digits and says how well it reads ones it has not seen.

Data: data/digits.csv, one image a line. Optical Recognition of Handwritten Digits (E. Alpaydin,
C. Kaynak, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0), its test part:
1,797 images of 8 x 8 pixels from 0 to 16, written by 13 people. Here it is the version of a dataset.
Writes the weights (model/weights.npz) and what was measured (model/metrics.json).
"""

import json
import os
import pathlib
import time

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = int(os.environ.get("SEED", "7"))
EPOCHS = int(os.environ.get("EPOCHS", "30"))
BATCH = 32
DATA = pathlib.Path("/data/digits/digits.csv")
MODEL = pathlib.Path("model")


def say(text):
    """Prints at once: whoever follows the log wants to see each epoch when it ends."""
    print(text, flush=True)


def load():
    """Pixels scaled to 0..1, and a quarter of the images held out, each digit in proportion."""
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)
    pixels, digits = table[:, :-1], table[:, -1].astype(int)
    return train_test_split(
        pixels / 16.0, digits, test_size=0.25, stratify=digits, random_state=SEED
    )


def train(pixels, digits, held_out_pixels, held_out_digits):
    """One hidden layer, trained by Adam on shuffled batches; one line per epoch."""
    model = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=2e-3, random_state=SEED)
    order = np.random.default_rng(SEED)
    classes = np.unique(digits)
    history = []
    for epoch in range(1, EPOCHS + 1):
        shuffled = order.permutation(len(digits))
        losses = []
        for start in range(0, len(digits), BATCH):
            batch = shuffled[start : start + BATCH]
            model.partial_fit(pixels[batch], digits[batch], classes=classes)
            losses.append(model.loss_)
        accuracy = model.score(held_out_pixels, held_out_digits)
        history.append(round(accuracy, 4))
        loss = sum(losses) / len(losses)
        say(f"epoch {epoch:2}/{EPOCHS}  loss {loss:.4f}  held-out accuracy {accuracy:.4f}")
    return model, history


def save(model, metrics):
    """Plain arrays: they load without running anything, and without this program."""
    MODEL.mkdir(exist_ok=True)
    layers = zip(model.coefs_, model.intercepts_)
    arrays = {}
    for index, (weights, bias) in enumerate(layers):
        arrays[f"weights_{index}"] = weights
        arrays[f"bias_{index}"] = bias
    np.savez(MODEL / "weights.npz", **arrays)
    (MODEL / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


def main():
    began = time.monotonic()
    train_pixels, test_pixels, train_digits, test_digits = load()
    say(f"training on {len(train_digits)} images, {len(test_digits)} held out")
    model, history = train(train_pixels, train_digits, test_pixels, test_digits)
    read = model.predict(test_pixels)
    accuracy = float((read == test_digits).mean())
    save(
        model,
        {
            "accuracy": accuracy,
            "accuracy_by_epoch": history,
            "confusion": confusion_matrix(test_digits, read).tolist(),
            "held_out": len(test_digits),
            "seed": SEED,
        },
    )
    wrong = int((read != test_digits).sum())
    seconds = time.monotonic() - began
    say(f"held-out accuracy {accuracy:.4f} ({wrong} of {len(read)} misread) in {seconds:.1f} s")
    say(f"model written to {MODEL}/")


if __name__ == "__main__":
    main()
