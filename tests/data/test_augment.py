"""Views of images: geometry by hand, and images, saliency and seeds that stay aligned."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.augment import View, ViewKind, draw_view, recoloured, training_crop, warped

KINDS: tuple[ViewKind, ...] = ("shorter_side", "longer_side", "area", "warp")


def numbered(height: int, width: int) -> np.ndarray:
    """An image in which every pixel's value tells its place."""
    return np.arange(height * width, dtype=np.int16).reshape(height, width)


def drawn(kind: ViewKind, shape: tuple[int, int], seed: int, **changes: object) -> View:
    settings: dict[str, object] = {"side": (20, 40), "crop": 24, "flip": True}
    rng = np.random.default_rng(seed)
    return draw_view(shape, rng, kind=kind, **{**settings, **changes})  # type: ignore[arg-type]


class TestView:
    def test_a_square_is_cut_out(self) -> None:
        plane = numbered(5, 7)
        seen = View((0, 0, 5, 7), (5, 7), (1, 3), 3, mirrored=False).of(plane)
        assert seen.tolist() == [[10, 11, 12], [17, 18, 19], [24, 25, 26]]

    def test_mirrored_columns_run_backwards(self) -> None:
        seen = View((0, 0, 5, 7), (5, 7), (1, 3), 3, mirrored=True).of(numbered(5, 7))
        assert seen.tolist() == [[12, 11, 10], [19, 18, 17], [26, 25, 24]]

    def test_the_source_is_taken_before_the_corner_counts(self) -> None:
        seen = View((2, 1, 3, 4), (3, 4), (1, 2), 2, mirrored=False).of(numbered(5, 7))
        assert seen.tolist() == [[24, 25], [31, 32]]  # rows 3, 4 and columns 3, 4

    @pytest.mark.parametrize(
        ("corner", "expected"),
        [
            ((-1, -2), [[9, 9, 9, 9], [9, 9, 0, 1], [9, 9, 3, 4], [9, 9, 9, 9]]),
            ((0, 0), [[0, 1, 2, 9], [3, 4, 5, 9], [9, 9, 9, 9], [9, 9, 9, 9]]),
            ((-2, -1), [[9, 9, 9, 9], [9, 9, 9, 9], [9, 0, 1, 2], [9, 3, 4, 5]]),
        ],
    )
    def test_what_lies_outside_is_padded(
        self, corner: tuple[int, int], expected: list[list[int]]
    ) -> None:
        view = View((0, 0, 2, 3), (2, 3), corner, 4, mirrored=False)
        assert view.of(numbered(2, 3), padding=9).tolist() == expected

    def test_padding_is_mirrored_with_the_rest_and_may_be_a_colour(self) -> None:
        view = View((0, 0, 1, 1), (1, 1), (0, 0), 2, mirrored=True)
        seen = view.of(np.full((1, 1, 3), 200, np.uint8), padding=(1, 2, 3))
        assert seen.shape == (2, 2, 3)
        assert seen[0, 1].tolist() == [200, 200, 200]
        for row, column in ((0, 0), (1, 0), (1, 1)):
            assert seen[row, column].tolist() == [1, 2, 3]

    def test_doubling_is_bilinear_with_half_pixel_centres(self) -> None:
        """Centres of a doubled row lie at -1/4, 1/4, 3/4 and 5/4 of the two pixels."""
        plane = np.array([[0, 100], [0, 100]], np.uint8)
        seen = View((0, 0, 2, 2), (4, 4), (0, 0), 4, mirrored=False).of(plane)
        assert seen.tolist() == [[0, 25, 75, 100]] * 4

    def test_nearest_repeats_pixels(self) -> None:
        seeds = np.array([[-1, 5], [19, 0]], np.int16)
        seen = View((0, 0, 2, 2), (4, 4), (0, 0), 4, mirrored=False).of(seeds, nearest=True)
        assert seen.tolist() == [[-1, -1, 5, 5]] * 2 + [[19, 19, 0, 0]] * 2
        assert seen.dtype == np.int16

    def test_what_it_shows_is_contiguous_and_a_view_of_nothing_else(self) -> None:
        plane = numbered(4, 4)
        seen = View((0, 0, 4, 4), (4, 4), (0, 0), 4, mirrored=True).of(plane)
        assert seen.flags.c_contiguous
        assert plane.tolist() == numbered(4, 4).tolist()


class TestDrawnViews:
    def test_warp_shows_the_whole_image(self) -> None:
        view = drawn("warp", (30, 50), 0, flip=False)
        assert view == View((0, 0, 30, 50), (24, 24), (0, 0), 24, mirrored=False)

    def test_the_shorter_side_gets_the_drawn_length_and_the_square_lies_inside(self) -> None:
        for shape, short in (((30, 60), 0), ((60, 30), 1)):
            lengths = set()
            for seed in range(80):
                view = drawn("shorter_side", shape, seed, side=(26, 32))
                assert view.source == (0, 0, *shape)
                lengths.add(view.size[short])
                assert view.size[1 - short] == 2 * view.size[short]
                assert all(
                    0 <= corner <= length - 24
                    for corner, length in zip(view.corner, view.size, strict=True)
                )
            assert lengths == set(range(26, 33))

    def test_a_shorter_side_below_the_square_becomes_the_square(self) -> None:
        view = drawn("shorter_side", (30, 60), 0, side=(8, 10))
        assert view.size == (24, 48)

    def test_the_square_reaches_both_ends(self) -> None:
        lefts = {drawn("shorter_side", (30, 60), seed, side=(26, 26)).corner for seed in range(600)}
        assert {top for top, _ in lefts} == {0, 1, 2}
        assert {left for _, left in lefts} == set(range(52 - 24 + 1))

    def test_the_longer_side_gets_the_drawn_length(self) -> None:
        lengths = set()
        for seed in range(80):
            view = drawn("longer_side", (40, 20), seed, side=(20, 26))
            lengths.add(view.size[0])
            assert view.size[1] == round(view.size[0] / 2)
        assert lengths == set(range(20, 27))

    def test_an_image_smaller_than_the_square_lies_whole_within_it(self) -> None:
        corners = set()
        for seed in range(400):
            view = drawn("longer_side", (40, 20), seed, side=(20, 20), flip=False)
            assert view.size == (20, 10)
            corners.add(view.corner)
            seen = view.of(np.ones((40, 20), np.uint8), padding=7)
            assert int((seen == 1).sum()) == 20 * 10
            assert int((seen == 7).sum()) == 24 * 24 - 20 * 10
        assert {top for top, _ in corners} == set(range(-4, 1))
        assert {left for _, left in corners} == set(range(-14, 1))

    def test_an_area_is_a_share_of_8_to_100_percent_of_modest_aspect_inside_the_image(self) -> None:
        shares = []
        for seed in range(300):
            view = drawn("area", (60, 80), seed)
            top, left, height, width = view.source
            assert 0 <= top <= 60 - height and 0 <= left <= 80 - width
            shares.append(height * width / (60 * 80))
            assert 0.7 <= width / height <= 1.43  # 3/4 to 4/3, and rounding to pixels
            assert view.size == (24, 24)
            assert view.corner == (0, 0)
        assert 0.07 <= min(shares) < 0.15
        assert 0.8 < max(shares) <= 1

    def test_where_no_area_fits_the_middle_square_is_taken(self) -> None:
        """Of a strip of 4 × 400 a rectangle of 8 % with aspect 4/3 would be 9 pixels high."""
        view = drawn("area", (4, 400), 0)
        assert view.source == (0, 198, 4, 4)

    @pytest.mark.parametrize("kind", KINDS)
    def test_half_are_mirrored_where_asked_and_none_else(self, kind: ViewKind) -> None:
        mirrored = sum(drawn(kind, (30, 50), seed).mirrored for seed in range(400))
        assert 160 <= mirrored <= 240
        assert not any(drawn(kind, (30, 50), seed, flip=False).mirrored for seed in range(20))

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", [(30, 50), (50, 30), (7, 90), (1, 1), (24, 24)])
    def test_every_view_is_a_full_square(self, kind: ViewKind, shape: tuple[int, int]) -> None:
        for seed in range(10):
            view = drawn(kind, shape, seed)
            assert view.of(np.zeros((*shape, 3), np.uint8)).shape == (24, 24, 3)
            assert view.of(np.zeros(shape, np.int16), nearest=True).shape == (24, 24)

    @pytest.mark.parametrize("kind", KINDS)
    def test_image_saliency_and_seeds_are_cut_alike(self, kind: ViewKind) -> None:
        """Left half salient and class 3, right half not and class 8, in halves of two colours."""
        image = np.zeros((32, 64, 3), np.uint8)
        image[:, :32] = 255
        saliency = image[..., 0].copy()
        seeds = np.where(image[..., 0] > 0, 3, 8).astype(np.int16)
        both = 0
        for seed in range(20):
            view = drawn(kind, (32, 64), seed)
            seen = view.of(image, padding=128)
            salient = view.of(saliency, padding=128)
            found = view.of(seeds, nearest=True, padding=-1)
            assert np.array_equal(seen[..., 0], salient)
            sure = (seen[..., 0] == 255) | (seen[..., 0] == 0)
            inside = sure & (found >= 0)
            assert np.array_equal(found[inside] == 3, seen[..., 0][inside] == 255)
            assert inside.any()
            both += len(np.unique(found[inside])) == 2
            if view.mirrored and len(np.unique(found[inside])) == 2:
                assert found[found >= 0].reshape(-1)[0] == 8
        assert both > 3

    @pytest.mark.parametrize("kind", KINDS)
    def test_seeds_are_never_mixed_into_other_ids(self, kind: ViewKind) -> None:
        rng = np.random.default_rng(0)
        seeds = rng.choice([-1, 2, 19], (33, 47)).astype(np.int16)
        for seed in range(20):
            seen = drawn(kind, (33, 47), seed).of(seeds, nearest=True, padding=-1)
            assert set(np.unique(seen)) <= {-1, 2, 19}
            assert seen.dtype == np.int16


class TestColour:
    def test_no_change_is_the_image_itself_and_draws_nothing(self) -> None:
        rng = np.random.default_rng(0)
        image = np.full((2, 2, 3), 100, np.uint8)
        assert recoloured(image, rng, 0.0) is image
        assert rng.random() == np.random.default_rng(0).random()

    def test_gains_stay_within_one_and_a_half_times_the_strength(self) -> None:
        image = np.full((1, 1, 3), 100, np.uint8)
        for seed in range(50):
            pixel = recoloured(image, np.random.default_rng(seed), 0.1)[0, 0].astype(int)
            assert all(84 <= value <= 115 for value in pixel)
            assert pixel.max() - pixel.min() <= 11

    def test_bright_pixels_do_not_wrap_around(self) -> None:
        image = np.full((1, 1, 3), 255, np.uint8)
        darkest = min(
            recoloured(image, np.random.default_rng(seed), 0.1).min() for seed in range(50)
        )
        assert darkest >= 255 * 0.84


def test_warping_an_image_of_the_size_leaves_it() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assert warped(image, 8) is image
    assert warped(np.zeros((4, 9), np.uint8), 8).shape == (8, 8)


def test_colours_change_in_the_image_and_not_in_its_padding() -> None:
    view = View((0, 0, 2, 2), (2, 2), (-1, 0), 3, mirrored=False)
    image = np.full((2, 2, 3), 100, np.uint8)
    seen = view.of(image, padding=(1, 2, 3), change=lambda pixels: pixels // 2)
    assert (seen[1:, :2] == 50).all()
    assert seen[0].tolist() == [[1, 2, 3]] * 3
    assert seen[:, 2].tolist() == [[1, 2, 3]] * 3


@pytest.mark.parametrize("seed", range(5))
def test_recoloured_pixels_are_the_image_times_the_gains_cut_off(seed: int) -> None:
    """Every value of every channel, by the definition: one gain, and half a one a channel."""
    image = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=1)[None]
    draws = np.random.default_rng(seed)
    gains = 1 + draws.uniform(-0.4, 0.4) + draws.uniform(-0.4, 0.4, 3) / 2
    expected = [[min(255, int(value * gain)) for gain in gains] for value in range(256)]
    assert recoloured(image, np.random.default_rng(seed), 0.4).tolist() == [expected]


def test_a_training_crop_is_the_shorter_sides_view_recoloured() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crop = training_crop(
        image, np.random.default_rng(5), shorter_side=(30, 40), crop=24, flip=True, colour=0.1
    )
    rng = np.random.default_rng(5)
    view = draw_view((40, 50, 3), rng, kind="shorter_side", side=(30, 40), crop=24, flip=True)
    assert np.array_equal(crop, recoloured(view.of(image), rng, 0.1))
