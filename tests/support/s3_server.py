"""A server that speaks S3 (moto's), with a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "mammo-archive"


@dataclass
class S3Server:
    """`client`: of boto3, for tests that look into the bucket."""

    address: str
    client: Any

    def objects(self) -> dict[str, bytes]:
        """What is in the bucket, by key."""
        listed = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {it["Key"]: self.client.get_object(Bucket=BUCKET, Key=it["Key"])["Body"].read() for it in listed}

    def settings(self, folder: Path) -> str:
        """The section of the settings, whose keys are files in `folder`."""
        (folder / "s3.id").write_text("an-id\n")
        (folder / "s3.secret").write_text("a-secret\n")
        return (
            f'[archive]\ncopy_to = "s3://{BUCKET}/node-1"\nendpoint = "{self.address}"\n'
            'key_id_file = "s3.id"\nsecret_key_file = "s3.secret"\n'
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "an-id", "aws_secret_access_key": "a-secret", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=address, config=Config(retries={"max_attempts": 1}), **keys)
        client.create_bucket(Bucket=BUCKET)
        yield S3Server(address, client)
    finally:
        server.stop()
