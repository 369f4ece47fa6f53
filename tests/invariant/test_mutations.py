"""The mutations that show what the search finds apply to today's code."""

import ast

import pytest

from tests.invariant.mutations.__main__ import mutated_files
from tests.invariant.mutations.table import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[one.name for one in MUTATIONS])
def test_mutation_applies(mutation: Mutation) -> None:
    """A safeguard that was rewritten needs a mutation that takes out the new text: the old one shows nothing."""
    for name, text in mutated_files(mutation).items():
        ast.parse(text, name)
