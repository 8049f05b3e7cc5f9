"""Fetching a data set from a server that breaks off, lies and repeats itself."""

import csv
import hashlib
import io
import json
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ml.data import download, fetch
from ml.data.download import DATASETS, Dataset, main
from ml.data.fetch import DownloadError, Source
from ml.data.fracatlas import read_samples
from ml.data.synthetic import synthetic_radiograph, to_jpeg
from ml.data.unpack import UnsafeArchiveError, unpack

DATA = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves one file; ``behaviour`` says how badly, ``seen`` which ranges were asked for."""

    def __init__(self, data=DATA):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.behaviour, self.seen = data, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def source(self, **changes):
        values = {
            "name": "data.zip",
            "url": f"http://127.0.0.1:{self.server_port}/data.zip",
            "size": len(self.data),
            "md5": hashlib.md5(self.data, usedforsecurity=False).hexdigest(),
            "page": "https://example.org/page",
            "licence": "CC BY 4.0",
        }
        return Source(**{**values, **changes})


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.seen.append(asked)
        how = server.behaviour.pop(0) if server.behaviour else "well"
        if how in {"404", "503", "416"}:
            self.send_error(int(how))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if how == "ignore range":
            start = 0
        body = server.data[start:]
        if start:
            first = start + 7 if how == "other range" else start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(server.data) - 1}/x")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if how == "break off":
            body = body[: len(body) // 2]
        if how == "nothing":
            body = b""
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server():
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


def get(source, folder):
    return fetch.fetch(source, folder, pause_s=0.0)


def test_a_file_is_fetched_checked_and_its_hash_kept(server, tmp_path):
    path = get(server.source(), tmp_path)
    assert path.read_bytes() == DATA
    lock = json.loads((tmp_path / "download.lock.json").read_text())["data.zip"]
    assert lock["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert "not published by the authors" in lock["sha256_is"]
    assert {p.name for p in tmp_path.iterdir()} == {"data.zip", "download.lock.json"}
    get(server.source(), tmp_path)
    assert server.seen == [None]  # what is here and right is not fetched again


def test_a_broken_connection_is_continued_where_it_broke(server, tmp_path):
    server.behaviour = ["break off", "break off", "503"]
    assert get(server.source(), tmp_path).read_bytes() == DATA
    half = len(DATA) // 2
    assert server.seen[:2] == [None, f"bytes={half}-"]
    assert int(server.seen[-1].removeprefix("bytes=").rstrip("-")) > half


def test_a_server_that_ignores_the_range_starts_anew_and_nothing_is_doubled(server, tmp_path):
    server.behaviour = ["break off", "ignore range"]
    assert get(server.source(), tmp_path).read_bytes() == DATA


def test_another_range_than_asked_for_is_not_taken(server, tmp_path):
    server.behaviour = ["break off", "other range"]
    assert get(server.source(), tmp_path).read_bytes() == DATA


def test_a_beginning_that_the_server_does_not_know_is_thrown_away(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(b"older and longer" * 10)
    server.behaviour = ["416"]
    assert get(server.source(), tmp_path).read_bytes() == DATA
    assert server.seen[1] is None


def test_a_later_run_continues_what_an_earlier_one_left(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(DATA[:1000])
    assert get(server.source(), tmp_path).read_bytes() == DATA
    assert server.seen == ["bytes=1000-"]


def test_a_wrong_hash_is_refused_and_the_file_removed(server, tmp_path):
    with pytest.raises(DownloadError, match="has MD5") as refused:
        get(server.source(md5="0" * 32), tmp_path)
    assert refused.value.code == "wrong_hash"
    assert not list(tmp_path.iterdir())


def test_more_than_was_promised_is_refused(server, tmp_path):
    with pytest.raises(DownloadError) as refused:
        get(server.source(size=len(DATA) - 1), tmp_path)
    assert refused.value.code == "wrong_size"
    assert not list(tmp_path.glob("data*"))


def test_a_file_that_changed_since_the_first_download_is_refused(server, tmp_path):
    get(server.source(), tmp_path)
    lock = tmp_path / "download.lock.json"
    values = json.loads(lock.read_text())
    values["data.zip"]["sha256"] = "f" * 64
    lock.write_text(json.dumps(values))
    with pytest.raises(DownloadError) as refused:
        get(server.source(), tmp_path)
    assert refused.value.code == "changed"


def test_a_server_that_sends_nothing_is_given_up_with_advice(server, tmp_path):
    server.behaviour = ["break off"] + ["nothing", "503"] * 9
    with pytest.raises(DownloadError, match="the same command continues") as refused:
        get(server.source(), tmp_path)
    assert refused.value.code == "unreachable"
    assert (tmp_path / "data.zip.part").stat().st_size == len(DATA) // 2


def test_an_address_that_is_gone_is_not_asked_again(server, tmp_path):
    server.behaviour = ["404", "404"]
    with pytest.raises(DownloadError, match="answers 404") as refused:
        get(server.source(), tmp_path)
    assert refused.value.code == "refused"
    assert len(server.seen) == 1


def test_a_full_disk_is_said_before_anything_is_fetched(server, tmp_path):
    with pytest.raises(DownloadError, match="MB free") as refused:
        get(server.source(size=10**18), tmp_path)
    assert refused.value.code == "no_space"
    assert server.seen == []


def test_no_way_leads_from_an_encrypted_address_to_an_open_one():
    handler = fetch._NoDowngrade()
    request = fetch.urllib.request.Request("https://example.org/a")
    with pytest.raises(DownloadError, match="without encryption"):
        handler.redirect_request(request, None, 302, "", {}, "http://example.org/a")
    followed = handler.redirect_request(request, None, 302, "", {}, "https://example.org/b")
    assert followed.full_url == "https://example.org/b"


def archive(path, *members, link=""):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "a\\..\\..\\out.txt", "C:/out.txt"]
)
def test_a_member_that_leads_out_of_the_folder_stops_everything(tmp_path, name):
    path = archive(tmp_path / "a.zip", ("good.txt", "x"), (name, "bad"))
    with pytest.raises(UnsafeArchiveError, match="leads out"):
        unpack(path, tmp_path / "in" / "here")
    assert not (tmp_path / "in").exists()
    assert not list(tmp_path.rglob("out.txt"))


def test_links_damage_and_doubled_names_are_refused(tmp_path):
    linked = archive(tmp_path / "l.zip", ("link", "/etc/passwd"), link="link")
    with pytest.raises(UnsafeArchiveError, match="is a link"):
        unpack(linked, tmp_path / "here")
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = archive(tmp_path / "d.zip", ("a.txt", "1"), ("a.txt", "2"))
    with pytest.raises(UnsafeArchiveError, match="cannot be unpacked"):
        unpack(doubled, tmp_path / "here")
    damaged = archive(tmp_path / "b.zip", ("a.txt", "hello there"))
    damaged.write_bytes(damaged.read_bytes().replace(b"hello", b"jello"))
    with pytest.raises(UnsafeArchiveError, match="CRC"):
        unpack(damaged, tmp_path / "here")
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "here.part").exists()


def published_zip():
    """Return an archive laid out as the authors of FracAtlas publish it."""
    buffer = io.BytesIO()
    columns = "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count"
    rows = [f"{columns},frontal,lateral,oblique"]
    images, annotations = [], []
    with zipfile.ZipFile(buffer, "w") as file:
        for index in range(4):
            fractured = index < 2
            name = f"IMG000000{index}.jpg"
            drawn = synthetic_radiograph(index, size=(96, 128), fractured=fractured)
            folder = "Fractured" if fractured else "Non_fractured"
            file.writestr(f"FracAtlas/images/{folder}/{name}", to_jpeg(drawn.pixels))
            rows.append(f"{name},1,0,0,0,0,{index},0,{int(fractured)},{int(fractured)},1,0,0")
            if drawn.box is not None:
                box = [drawn.box.x, drawn.box.y, drawn.box.width, drawn.box.height]
                images.append({"id": index, "file_name": name, "width": 96, "height": 128})
                annotations.append({"id": index, "image_id": index, "category_id": 0, "bbox": box})
        # One name in both folders: the label cannot be known.
        file.writestr("FracAtlas/images/Non_fractured/IMG0000001.jpg", to_jpeg(drawn.pixels))
        file.writestr("FracAtlas/dataset.csv", "\n".join(rows) + "\n")
        coco = {"images": images, "annotations": annotations}
        coco["categories"] = [{"id": 0, "name": "fractured"}]
        name = "FracAtlas/Annotations/COCO JSON/COCO_fracture_masks.json"
        file.writestr(name, json.dumps(coco))
        file.writestr("__MACOSX/FracAtlas/._x", "")
    return buffer.getvalue()


def test_the_command_fetches_unpacks_and_prepares_a_folder_to_train_on(
    tmp_path, capsys, monkeypatch
):
    server = Server(published_zip())
    server.behaviour = ["break off"]
    dataset = Dataset(server.source(), DATASETS["fracatlas"].read, "Named here.")
    monkeypatch.setattr(download, "DATASETS", {"fracatlas": dataset})
    out = tmp_path / "fracatlas"

    assert main(["fracatlas", "--out", str(out)]) == 0
    assert main(["fracatlas", "--out", str(out)]) == 0  # again, from what is here

    server.shutdown()
    server.server_close()
    assert len(server.seen) == 2
    said = capsys.readouterr().out
    assert "5 pictures" in said
    assert "Named here." in said
    samples = {s.image_id: s for s in read_samples(out)}
    assert all(sample.path.is_file() for sample in samples.values())
    first = samples["IMG0000000.jpg"]
    assert (first.fractured, first.region, first.view) == (True, "hand_arm", "frontal")
    assert len(first.fractures) == 1
    assert not first.label_conflict
    twins = [s for name, s in samples.items() if "IMG0000001" in name]
    assert [s.label_conflict for s in twins] == [True, True]
    with (out / "manifest.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5


def test_a_failed_download_ends_with_2_and_a_sentence(server, tmp_path, capsys, monkeypatch):
    server.behaviour = ["404"]
    dataset = Dataset(server.source(), DATASETS["fracatlas"].read, "")
    monkeypatch.setattr(download, "DATASETS", {"fracatlas": dataset})
    assert main(["fracatlas", "--out", str(tmp_path)]) == 2
    assert "answers 404" in capsys.readouterr().err


def test_what_is_pinned_is_an_encrypted_address_with_size_and_hash():
    for dataset in DATASETS.values():
        assert dataset.source.url.startswith("https://")
        assert dataset.source.size > 0
        assert len(dataset.source.md5) == 32
