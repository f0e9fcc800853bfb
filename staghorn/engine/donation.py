"""When Variables have no values: a compiled program took their arrays and has not returned."""

import threading

# Held from the moment a program is given the arrays of Variables until they have new ones, and by
# those who read many Variables from another thread, as saving during `fit` does.
lock = threading.RLock()
