"""The model card of a SavedModel."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests.small_vae import IMAGES, small_vae
from tfpvae.saving import ModelCard


@pytest.fixture(scope="module")
def trained():
    vae = small_vae()
    vae.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    vae.evaluate(IMAGES, verbose=0)
    return vae


def card_of(folder):
    return (folder / "README.md").read_text()


def test_the_card_says_what_the_model_is_and_how_it_was_trained(trained, tmp_path):
    scores = {"ELBO": trained.elbo(IMAGES, seed=0), "error": 0.5}
    card = ModelCard(data="24 images", scores=scores, license="apache-2.0", title="Noise")
    trained.save(tmp_path, card=card)
    text = card_of(tmp_path)
    front, _, rest = text.removeprefix("---\n").partition("\n---\n")
    assert front.splitlines()[:2] == ["license: apache-2.0", "library_name: tfpvae"]
    assert "\n# Noise\n" in rest and "likelihood | IndependentBernoulli" in rest
    losses = trained.last_fit.history
    for line in (
        "| data | 24 images |",
        "| optimizer | SGD, learning rate 0.001 |",
        "| steps | 6 |",
        f"| epoch 2 | loss {losses['loss'][-1]:.2f}, nll {losses['nll'][-1]:.2f}, ",
        f"| tfpvae | {tfpvae.__version__} |",
        "| error | 0.50000 |  |  |",
    ):
        assert line in rest
    values = np.asarray(scores["ELBO"])
    error = values.std(ddof=1) / np.sqrt(24)
    assert f"| ELBO | {values.mean():.2f} | {error:.2f} | 24 |" in rest
    folder = tmp_path.as_posix()
    exec(rest.partition("```python\n")[2].partition("```")[0].replace("FOLDER", folder), {})


def test_the_next_save_replaces_its_own_card_but_keeps_an_edited_one(trained, tmp_path):
    trained.save(tmp_path / "model", card=ModelCard(data="24 images"))
    again = tf_keras.models.load_model(tmp_path / "model")
    again.save(tmp_path / "model")
    assert "24 images" not in card_of(tmp_path / "model")  # they may be others by now
    assert "license" not in card_of(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("My model")
    again.save(tmp_path / "model")
    assert card_of(tmp_path / "model") == "My model"


def test_a_report_is_a_table_of_scores(trained):
    report = tfpvae.evaluation.report(trained, IMAGES, num_samples=5, seed=0)
    rows = ModelCard(scores=report).scores_table().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| log likelihood",
        "| elbo",
        "| squared error",
    ]
    assert rows[1].endswith("| 24 |")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ModelCard(data=3), TypeError, "data: wanted text, got 3."),
        (lambda: ModelCard(license="MIT license"), ValueError, "license: wanted an identifier"),
        (lambda: ModelCard(scores=[1.0]), TypeError, "scores: wanted a dict"),
        (lambda: ModelCard(scores={"a": "b"}), TypeError, r"scores\['a'\]: wanted a number or"),
        (lambda: ModelCard(scores={"a": np.nan}), ValueError, r"scores\['a'\]: wanted a finite"),
    ],
)
def test_wrong_cards_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_card_for_a_file_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="card: wanted None for a file"):
        trained.save(tmp_path / "a.keras", card=ModelCard())
    assert not [*tmp_path.iterdir()]


def test_a_model_without_steps_of_its_own_says_nothing_of_training(tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    vae.compile()
    scores = {"elbo": {"mean": -3.0, "standard_error": 0.5, "images": 7}}
    vae.save(tmp_path / "model", card=tfpvae.saving.ModelCard(scores=scores))
    text = (tmp_path / "model" / "README.md").read_text()
    assert "| steps |" not in text and "learning rate" not in text
    assert "| elbo | -3.00 | 0.50 | 7 |" in text
