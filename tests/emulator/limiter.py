"""The leaky bucket in front of a portal: so deep, leaking so fast, one per client address."""


class Bucket:
    """Each request adds one; above the depth the next is refused; it leaks all the time."""

    def __init__(self, *, depth: int, leak: float) -> None:
        self.depth = depth
        self.leak = leak
        self.levels: dict[str, tuple[float, float]] = {}

    def admit(self, client: str, *, now: float) -> bool:
        """Return whether this request passes; a refused one adds nothing."""
        level, since = self.levels.get(client, (0.0, now))
        level = max(0.0, level - (now - since) * self.leak)
        passes = level < self.depth
        self.levels[client] = (level + passes, now)
        return passes

    def level(self, *, now: float) -> float:
        """Return how full it is for whoever has asked the most."""
        levels = (level - (now - since) * self.leak for level, since in self.levels.values())
        return max(0.0, *levels, 0.0)

    def fill(self, *, now: float) -> None:
        """Leave no room for any client, as a storm of requests would."""
        expected = self.levels or {"127.0.0.1": (0.0, now)}
        self.levels = {client: (float(self.depth), now) for client in expected}
