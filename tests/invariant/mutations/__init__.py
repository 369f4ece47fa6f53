"""Does the search find what it exists to find? Each mutation takes one safeguard out of a copy of the code.

``python -m tests.invariant.mutations`` copies the checkout once for each mutation, changes the copy, and searches there
until a stream shows a violation. A mutation that survives means that the search is blind to its kind of fault; one that
does not apply means that the code has changed, and the table has to follow.
"""
