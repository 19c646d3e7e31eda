from __future__ import annotations

from apps.chat.models import ChatMessage
from apps.chat.tree import Tree

#  1 - 2 - 3 - 4
#       \ 5
PARENTS = {1: None, 2: 1, 3: 2, 4: 3, 5: 2}


def tree() -> Tree:
    return Tree(ChatMessage(pk=pk, parent_id=parent) for pk, parent in PARENTS.items())


def path(leaf: int | None) -> list[int]:
    return [message.pk for message in tree().path(leaf)]


def test_a_path_leads_from_the_first_message_to_its_end():
    assert path(4) == [1, 2, 3, 4]
    assert path(5) == [1, 2, 5]


def test_without_an_end_the_newest_message_is_it():
    assert path(None) == [1, 2, 5]
    assert Tree([]).path(None) == []


def test_siblings_stand_in_one_place():
    found = tree()
    assert found.siblings(found.messages[5]) == [3, 5]


def test_a_branch_ends_at_its_newest_message():
    assert (tree().end(3), tree().end(1)) == (4, 5)
