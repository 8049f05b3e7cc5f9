"""A load of reads and uploads on a running site, and what each was answered."""

import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from threading import Event, Lock, Thread
from typing import Self

from tests.chaos.senders import Post, Senders

Ask = Callable[[], tuple[str, bytes, str]]


class Load:
    """Threads that ask again and again until the block ends; every answer is counted."""

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[str]] = {}
        self.seconds: dict[str, list[tuple[float, float]]] = {}
        self.without_retry_after = 0
        self._over, self._lock = Event(), Lock()
        self._threads: list[Thread] = []

    def ask(self, name: str, ask: Ask, *, every_s: float) -> None:
        """Add a thread that asks at an even pace; it does not fall behind by waiting."""
        self.statuses.setdefault(name, Counter())
        self.seconds.setdefault(name, [])
        self._threads.append(Thread(target=self._run, args=(name, ask, every_s)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str, ask: Ask, every_s: float) -> None:
        turn = time.monotonic()
        while not self._over.wait(max(0.0, turn - time.monotonic())):
            turn = max(turn + every_s, time.monotonic())
            began = time.monotonic()
            status, _body, retry_after = ask()
            with self._lock:
                self.statuses[name][status] += 1
                self.seconds[name].append((began, time.monotonic() - began))
                if status in {"429", "503"} and not retry_after:
                    self.without_retry_after += 1

    def typical_ms(self, name: str, *, since: float = 0.0) -> float:
        """Return the median time of an answer, in milliseconds."""
        return round(1000 * median(took for at, took in self.seconds[name] if at >= since), 1)

    def count(self, *wanted: str, of: str | None = None) -> int:
        """Return how many answers have one of these statuses."""
        names = [of] if of else list(self.statuses)
        return sum(self.statuses[name][status] for name in names for status in wanted)

    @property
    def answers(self) -> int:
        return sum(sum(found.values()) for found in self.statuses.values())


class Desk:
    """What people and programs of a ward ask for."""

    def __init__(self, senders: Senders, posts: list[Post], cookie: str) -> None:
        self._senders, self._posts, self._cookie = senders, iter(posts), cookie
        self._token = posts[0].secret
        self.sent, self.kept = 0, 0
        self._lock = Lock()

    def worklist(self) -> tuple[str, bytes, str]:
        """Open the page that people live on."""
        return self._senders.request("GET", "/", None, {"Cookie": self._cookie})

    def studies(self) -> tuple[str, bytes, str]:
        """Read a list as a program."""
        headers = {"Authorization": f"Token {self._token}"}
        return self._senders.request("GET", "/api/v1/studies/", None, headers)

    def upload(self) -> tuple[str, bytes, str]:
        """Send the next file once; what is refused stays with the sender."""
        with self._lock:
            post = next(self._posts, None)
        if post is None:
            return "none left", b"", ""
        answer = self._senders.post(post)
        with self._lock:
            self.sent += 1
            self.kept += answer[0] in {"200", "201"}
        return answer
