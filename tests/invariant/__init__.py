"""One invariant, searched: random streams of deliveries and responder actions, against a model of what must follow.

``stream`` generates, ``model`` says what must follow, ``world`` plays a stream at Tocsin without a Temporal server,
``gateway_world`` at the real one, and ``mutations`` shows that the search finds each fault that it exists to find.
"""
