"""Clients that post over HTTP until they get an answer, as a modality or a script does."""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit
from uuid import UUID, uuid4


@dataclass(frozen=True)
class Post:
    """One file for one study; the same number twice is a duplicate."""

    number: int
    study: UUID
    secret: str
    picture: bytes  # JPEG

    @property
    def data(self) -> bytes:
        """The file: no two numbers have the same bytes."""
        return numbered(self.picture, self.number)


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return the JPEG with a comment that holds the number."""
    return jpeg[:2] + b"\xff\xfe\x00\x06" + number.to_bytes(4, "big") + jpeg[2:]


@dataclass
class Answers:
    """What came back: every status, the id of each file, and answers that contradict another."""

    statuses: Counter[str] = field(default_factory=Counter)
    images: dict[int, UUID] = field(default_factory=dict)
    contradicting: int = 0
    without_retry_after: int = 0
    lock: Lock = field(default_factory=Lock)


class Senders:
    """Threads that send posts and repeat what was not confirmed."""

    def __init__(self, address: str, *, at_once: int = 20, patience_s: float = 300) -> None:
        self._host = urlsplit(address).netloc
        self._at_once, self._patience_s = at_once, patience_s
        self.answers = Answers()

    def send_all(self, posts: list[Post], may_go: Callable[[int], bool]) -> None:
        """Send each post when ``may_go`` says that its turn has come; return when all are kept."""

        def one(place: int) -> None:
            while not may_go(place):
                time.sleep(0.02)
            self._until_kept(posts[place])

        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(one, range(len(posts))))

    def _until_kept(self, post: Post) -> None:
        deadline = time.monotonic() + self._patience_s
        while True:
            status, body, retry_after = self.post(post)
            found = self.answers
            with found.lock:
                found.statuses[status] += 1
                if status in {"429", "503"} and not retry_after:
                    found.without_retry_after += 1
                if status in {"200", "201"}:
                    image = UUID(json.loads(body)["id"])
                    found.contradicting += found.images.setdefault(post.number, image) != image
                    return
            assert time.monotonic() < deadline, (status, body[:300])
            time.sleep(random.uniform(0.2, 0.6))  # noqa: S311 - no secret

    def post(self, post: Post) -> tuple[str, bytes, str]:
        """Send once; a line that breaks is the status ``broken``."""
        boundary = uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.jpg\"\r\n"
            "Content-Type: image/jpeg\r\n\r\n"
        )  # fmt: skip
        body = head.encode() + post.data + f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Authorization": f"Token {post.secret}",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        }
        return self.request("POST", f"/api/v1/studies/{post.study}/images/", body, headers)

    def request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[str, bytes, str]:
        """Return status, body and ``Retry-After`` over a line of its own."""
        line = http.client.HTTPConnection(self._host, timeout=60)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return str(answer.status), answer.read(), answer.getheader("Retry-After", "")
        except (OSError, http.client.HTTPException):
            return "broken", b"", ""
        finally:
            line.close()
