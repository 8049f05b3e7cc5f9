"""The fixtures that stand for services outside: a broker, an object store, a browser."""

import boto3
import pytest
import requests
from kombu import Connection


def test_rabbitmq_takes_and_gives_a_message(rabbitmq):
    with Connection(rabbitmq) as connection:
        queue = connection.SimpleQueue("hello")
        queue.put({"wake": "up"})
        message = queue.get(timeout=5)
        message.ack()
        assert message.payload == {"wake": "up"}
        queue.close()


@pytest.mark.s3
@pytest.mark.parametrize("run", ["first", "second"])
def test_the_object_store_starts_empty_for_every_test(s3_server, run):
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    assert client.list_buckets()["Buckets"] == []
    client.create_bucket(Bucket="images")
    client.put_object(Bucket="images", Key="a", Body=b"bytes")
    link = client.generate_presigned_url("get_object", Params={"Bucket": "images", "Key": "a"})
    assert requests.get(link, timeout=5).content == b"bytes"


def test_chromium_shows_a_page(chromium):
    page = chromium.new_page()
    page.set_content("<h1>Fracture Site</h1>")
    assert page.inner_text("h1") == "Fracture Site"
    page.close()
