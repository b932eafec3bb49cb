"""A bounded table of what was called lately.

Each entry counts its own `calls`, so that a look-up costs no more than a dictionary's. What was
called since the last addition is found at the next one and moves behind the rest; the first goes
when there are too many.
"""

import threading
from collections.abc import Hashable
from typing import Any


class Recent(dict):
    """At most so many entries by key; each has an attribute `calls`."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most
        self.looked: dict[Hashable, int] = {}
        self.lock = threading.Lock()

    def add(self, key: Hashable, found: Any) -> None:
        """Keep an entry, in place of the one least recently called if there are too many."""
        with self.lock:
            if key not in self:
                self._order()
                if len(self) >= self.most:
                    first = next(iter(self))
                    del self[first], self.looked[first]
                self.looked[key] = found.calls
            self[key] = found

    def clear(self) -> None:
        with self.lock:
            super().clear()
            self.looked.clear()

    def _order(self):
        for key, found in list(self.items()):
            if found.calls != self.looked[key]:
                self.looked[key] = found.calls
                self[key] = self.pop(key)
