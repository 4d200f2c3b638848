"""The lines that `fit`, `evaluate` and `predict` print."""

import io
import sys
import types

import pytest
import tf_keras

from tests.small_vae import IMAGES, small_vae


def fit(vae, **arguments):
    return vae.fit(IMAGES, batch_size=8, epochs=2, validation_data=IMAGES[:8], **arguments).history


def test_an_epoch_is_one_line_without_the_elbo(capsys):
    vae = small_vae()
    history = fit(vae)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"] and len(lines) == 4
    assert all(len(line) <= 100 for line in lines)
    names = [part.split()[0] for part in lines[3].split("  ")[-6:]]
    assert names == ["loss", "nll", "kl", "val_loss", "val_nll", "val_kl"]
    assert f"loss {history['loss'][1]:.2f}  nll" in lines[3]
    assert {"elbo", "val_elbo"} <= set(history)
    vae.evaluate(IMAGES)
    vae.predict(IMAGES)
    scores, predicted = capsys.readouterr().out.splitlines()
    assert scores.startswith("1/1  ") and "kl" in scores and "elbo" not in scores
    assert predicted.startswith("1/1  ") and "loss" not in predicted


def test_a_plain_autoencoder_shows_no_kl(capsys):
    fit(small_vae(posterior="deterministic"))
    assert "kl" not in capsys.readouterr().out


def test_on_a_screen_the_first_epoch_says_compiling(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    vae = small_vae()
    fit(vae)
    assert capsys.readouterr().out.count("compiling ...") == 1
    fit(vae)
    printed = capsys.readouterr().out
    assert "compiling" not in printed and "\r" in printed


@pytest.mark.parametrize("module", ["ipykernel.iostream", "io"])
def test_a_notebook_is_a_screen_and_an_import_of_its_kernel_is_none(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    stream = type("Stream", (io.StringIO,), {"__module__": module})()
    monkeypatch.setattr(sys, "stdout", stream)
    fit(small_vae())
    assert ("compiling ..." in stream.getvalue()) is (module == "ipykernel.iostream")


@pytest.mark.parametrize("verbose", [0, 2])
def test_verbose_is_as_in_keras(capsys, verbose):
    fit(small_vae(), verbose=verbose)
    assert len(capsys.readouterr().out.splitlines()) == (4 if verbose else 0)


def test_a_progress_bar_of_the_user_is_kept(capsys):
    fit(small_vae(), callbacks=[tf_keras.callbacks.ProgbarLogger("steps")])
    assert "elbo:" in capsys.readouterr().out
