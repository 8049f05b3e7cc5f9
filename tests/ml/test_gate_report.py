"""Fitting and measuring the gate: limits by share, recipes that processes can share, the table."""

import pickle
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from ml.appearance import COUNT
from ml.data.fracatlas import Sample
from ml.data.gate_pictures import drawing_of, drawings, limbs, read_cutouts
from ml.data.imitations import IMITATIONS
from ml.data.real_strangers import as_gathered, read_list, stranger, taught, uses, variant
from ml.data.strangers import pictures
from ml.data.strangers.catalogue import DRAWINGS
from ml.data.synthetic import synthetic_radiograph
from ml.fit_gate import Table, look_at, refused_by, with_limits
from ml.gate import CLASSES, Gate
from ml.gate_report import SPOILED, as_json, as_markdown, measured, spoiled, summed
from ml.outline import COUNT as OUTLINE_COUNT
from ml.predictor import WEIGHTS_FOLDER
from ml.quality import REASONS, assess


def sample(path, name="IMG1.jpg"):
    return Sample(
        image_id=name,
        path=path,
        fractured=False,
        region="hand",
        body_region=0,
        hardware=False,
        cast=False,
        view="frontal",
        group="1",
        block="N000",
        label_conflict=False,
        truncated=False,
        fractures=(),
    )


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.asarray(synthetic_radiograph(4).pixels))
    return sample(path)


def table(first_feature, kind="limb"):
    values = np.zeros((len(first_feature), 1 + COUNT))
    values[:, 0] = first_feature
    names = np.array(["x"] * len(first_feature))
    yes = np.ones(len(first_feature), bool)
    kinds = np.full(len(first_feature), CLASSES.index(kind))
    return Table(values, kinds, names, names, ~yes, yes, np.zeros((len(values), OUTLINE_COUNT)))


def gate_on_first_feature():
    weights = np.zeros((len(CLASSES), 1 + COUNT))
    weights[0, 0] = 1.0
    size = 1 + COUNT
    return Gate(np.zeros(size), np.ones(size), weights, np.zeros(len(CLASSES)), 0.0, 0.0)


def test_the_limit_refuses_the_asked_share_of_held_back_limbs():
    limbs_seen = table(np.linspace(0.0, 5.0, 1001))
    for share in (0.01, 0.05):
        gate = with_limits(gate_on_first_feature(), limbs_seen, refused=share)
        assert refused_by(gate, limbs_seen).mean() == pytest.approx(share, abs=0.002)


def test_strangers_do_not_move_the_limit():
    held_back = table(np.linspace(0.0, 5.0, 101))
    strangers = table(np.full(500, -5.0), kind="picture")
    both = Table(
        *(
            np.concatenate([getattr(held_back, name), getattr(strangers, name)])
            for name in Table.__slots__
        )
    )
    limits = [with_limits(gate_on_first_feature(), t, refused=0.02) for t in (held_back, both)]
    assert limits[0].limit == limits[1].limit


def test_a_recipe_gives_the_same_picture_in_every_process(film):
    recipes = [
        *limbs([film], films=1, copies=1, photos=1, seed=5),
        partial(drawing_of, "picture", pictures.chart, 2, 5),
    ]
    assert len(recipes) == 4
    for recipe in recipes:
        again = pickle.loads(pickle.dumps(recipe))()  # noqa: S301 - our own
        assert np.array_equal(recipe().pixels, again.pixels)


def test_every_drawing_is_asked_for_as_often_as_wanted():
    kinds = sum(len(draws) for draws in DRAWINGS.values())
    assert len(drawings(3, seed=1)) == 3 * kinds


def test_cutouts_lie_inside_their_pictures():
    cutouts = read_cutouts()
    assert {cutout.part for cutout in cutouts} == {"whole", "chest", "abdomen", "skull", "spine"}
    whole = {c.image_id: c for c in cutouts if c.part == "whole"}
    for cutout in cutouts:
        frame = whole[cutout.image_id]
        assert 0 <= cutout.left < cutout.right <= frame.right
        assert 0 <= cutout.top < cutout.bottom <= frame.bottom


@pytest.mark.parametrize(("name", "reason"), SPOILED.items())
def test_a_spoiled_film_is_refused_for_what_is_wrong_with_it(film, name, reason):
    assert reason in REASONS
    assert reason in assess(spoiled(film, name).pixels)


def test_the_table_counts_right_and_wrong_reasons(film, tmp_path):
    folder = tmp_path / "strangers" / "picture" / "test page"
    folder.mkdir(parents=True)
    page = pictures.text_page(np.random.default_rng(1))
    cv2.imwrite(str(folder / "page.png"), page)
    cv2.imwrite(str(folder / "tiny.png"), page[:100, :100])
    cases = [
        ("spoiled", partial(spoiled, film, "empty")),
        ("spoiled", partial(spoiled, film, "thumbnail")),
        ("stranger, test", partial(stranger, folder / "page.png")),
        ("stranger, test", partial(stranger, folder / "tiny.png")),
    ]
    rows, milliseconds = measured(WEIGHTS_FOLDER, cases, workers=1)
    assert [(row.source, row.n, row.refused, row.right, row.told) for row in rows] == [
        ("empty", 1, 1, 1, 1),
        ("thumbnail", 1, 1, 1, 1),
        ("test page, grey", 2, 2, 2, 1),
    ]
    assert milliseconds > 0
    total = summed(rows)
    assert [(row.group, row.n, row.right) for row in total] == [
        ("spoiled", 2, 2),
        ("stranger, test", 2, 2),
    ]
    assert as_json(total[0])["reasons"] == {"blank": 1, "too_small": 1}
    both = "2 (100.0%; 34.2% to 100.0%)"
    assert f"| spoiled | all | 2 | {both} | {both} | {both} | 0 |" in as_markdown(total)


def test_no_source_of_real_strangers_is_both_taught_and_tested():
    listed = read_list()
    assert set(uses(listed).values()) == {"taught", "development", "test"}
    by_use = {use: {p.sha256 for p in listed if p.use == use} for use in uses(listed).values()}
    assert not by_use["taught"] & by_use["test"]
    assert not by_use["development"] & by_use["test"]
    assert {p.kind for p in listed if p.use == "taught"} >= {"slice", "picture"}
    with pytest.raises(ValueError, match="two uses"):
        uses([*listed, replace(listed[0], use="another")])


def test_a_source_that_is_not_listed_is_for_the_test(tmp_path):
    folder = tmp_path / "picture" / "a new source"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "page.png"), pictures.chart(np.random.default_rng(1)))
    assert [use for use, _ in as_gathered(tmp_path)] == ["test"]
    with pytest.raises(FileNotFoundError):
        taught(tmp_path, each=1, seed=1)


@pytest.mark.parametrize("kind", ["picture", "slice"])
def test_variants_of_a_stranger_differ_and_repeat(tmp_path, kind):
    folder = tmp_path / kind / "source"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), pictures.portrait(np.random.default_rng(1)))
    made = [variant(folder / "a.png", index, 1).pixels for index in range(6)]
    assert len({picture.tobytes() for picture in made}) == 6
    assert all(min(picture.shape) >= 128 and picture.std() > 1 for picture in made)
    assert np.array_equal(made[3], variant(folder / "a.png", 3, 1).pixels)


def test_features_are_kept_by_what_the_picture_shows(film, tmp_path):
    recipes = [partial(spoiled, film, "underexposed"), partial(spoiled, film, "underexposed")]
    first = look_at(WEIGHTS_FOLDER, recipes, workers=1, kept=tmp_path)
    (kept,) = tmp_path.glob("*.npy")
    np.save(kept, np.zeros(1280, np.float32))
    again = look_at(WEIGHTS_FOLDER, recipes[:1], workers=1, kept=tmp_path)
    assert first.values[0, :1280].any()
    assert not again.values[0, :1280].any()


def test_imitations_have_names_that_no_spoiled_film_has():
    assert not set(IMITATIONS) & set(SPOILED)
