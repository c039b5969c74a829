"""How every serving process learns at once that a prompt serves something else.

Whoever changes what a prompt serves commits it, and then tells: through Redis, where a `Publisher`
hangs the snapshot on a board and calls it out, or else through PostgreSQL, which notifies by
itself. A `Router` follows what is told (`updates_of`), and polls the epochs underneath: what was
not told, or was lost on the way, is healed by that within a second.
"""
