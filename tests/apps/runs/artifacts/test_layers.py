"""Places of the drawn lineage."""

from __future__ import annotations

from itertools import pairwise

import pytest

from apps.runs.artifacts.layers import GAP_X, HEIGHT, MARGIN, WIDTH, draw


def columns(drawing) -> dict[str, int]:
    return {node: (box.x - MARGIN) // (WIDTH + GAP_X) for node, box in drawing.boxes.items()}


def test_a_node_stands_right_of_all_it_comes_from():
    drawing = draw("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    assert columns(drawing) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_a_source_stands_beside_its_first_use():
    drawing = draw(["x", "a", "b", "c"], [("a", "b"), ("b", "c"), ("x", "c")])
    assert columns(drawing)["x"] == 1


def test_boxes_never_overlap():
    nodes = [f"{layer}-{number}" for layer in range(4) for number in range(7)]
    edges = [
        (f"{layer}-{number}", f"{layer + 1}-{(3 * number + layer) % 7}")
        for layer in range(3)
        for number in range(7)
    ]
    boxes = sorted(draw(nodes, edges).boxes.values())
    beside = [(one, two) for one, two in pairwise(boxes) if one.x == two.x]
    assert beside
    assert all(two.y - one.y >= HEIGHT for one, two in beside)


def test_lines_that_need_not_cross_do_not():
    drawing = draw(["a", "b", "y", "x"], [("a", "x"), ("b", "y")])
    boxes = drawing.boxes
    assert (boxes["a"].y < boxes["b"].y) == (boxes["x"].y < boxes["y"].y)


def test_a_long_edge_bends_around_the_boxes_between():
    drawing = draw("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    assert drawing.curves[2].path.count("C") == 2
    assert drawing.curves[0].path.count("C") == 1


def test_a_circle_is_drawn_all_the_same():
    drawing = draw("ab", [("a", "b"), ("b", "a")])
    assert len(drawing.curves) == 2
    assert set(columns(drawing).values()) == {0, 1}


@pytest.mark.parametrize("num", [0, 1, 200])
def test_a_graph_of_any_size_fits_its_drawing(num):
    nodes = list(range(num))
    edges = [(number // 3, number) for number in range(1, num)]
    drawing = draw(nodes, edges)
    assert all(box.x + WIDTH <= drawing.width for box in drawing.boxes.values())
    assert all(box.y >= 0 and box.y + HEIGHT <= drawing.height for box in drawing.boxes.values())


def test_an_average_has_a_line_from_each_parent():
    drawing = draw(["p", "q", "r", "mean"], [(one, "mean") for one in "pqr"])
    assert len({curve.path for curve in drawing.curves}) == 3
    assert columns(drawing) == {"p": 0, "q": 0, "r": 0, "mean": 1}
