"""AWS KMS as moto serves it, over real HTTP."""

import logging

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


class KmsServer:
    """A KMS with keys of its own; what asks it needs AWS credentials, of any value."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())

    def new_key(self) -> str:
        """Return the id of a new symmetric key."""
        client = boto3.client("kms", region_name=REGION, endpoint_url=self.url)
        return client.create_key()["KeyMetadata"]["KeyId"]

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()
