from __future__ import annotations

import pytest

from kos.weights.survival.margins import ARTICLE, int4_half_step, nvfp4_half_step


def test_the_articles_margins():
    assert ARTICLE.half_step == pytest.approx(2.97e-3, abs=1e-5)
    assert ARTICLE.quarter_step == pytest.approx(1.49e-3, abs=1e-5)
    assert [round(ratio, -1) for ratio in ARTICLE.ratios[:2]] == [140, 70]
    assert round(ARTICLE.ratios[2]) == 35
    assert ARTICLE.weight / ARTICLE.scale == pytest.approx(2.35, abs=0.005)


def test_nvfp4s_low_end_is_finer_by_24_to_14():
    # A block whose largest weight is the mean weight, in mean changes: 24 against 14 of them.
    int4, nvfp4 = int4_half_step(1.40e-2), nvfp4_half_step(1.40e-2)
    assert int4 == pytest.approx(1.40e-2 / 14)
    assert nvfp4 == pytest.approx(1.40e-2 / 24)
    assert int4 / nvfp4 == pytest.approx(1.7, abs=0.02)
    assert [round(half / ARTICLE.delta) for half in (int4, nvfp4)] == [24, 14]
