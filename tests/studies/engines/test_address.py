"""A wrong address of a Ray cluster is refused within seconds, with one sentence."""

import socket
import threading
from contextlib import contextmanager

import pytest

from gearing.studies.engines.address import check_address
from gearing.studies.engines.cluster import RayEngine

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # an empty frame of type 4, which a gRPC server sends first


@contextmanager
def listening(answer):
    """The address of a program that answers whoever connects with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH", b""])
def test_a_port_at_which_another_program_listens_is_refused(answer):
    with (
        listening(answer) as address,
        pytest.raises(ValueError, match=f"no Ray cluster answers at address '{address}' .another program"),
    ):
        check_address(address)


def test_a_program_that_speaks_the_protocol_of_ray_passes():
    with listening(SETTINGS) as address:
        check_address(address)
    check_address("auto")


def test_a_port_at_which_nothing_listens_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        ValueError, match=r"refused\). Start one with `ray start --head`, or leave address out"
    ):
        check_address(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:99999",
        "10.0.0.1:x",
        "http://10.0.0.1:8265",
        ":6379",
        "local",
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(
        ValueError, match=r"is no address of a Ray cluster\. Give host and port as `ray start`"
    ):
        check_address(address)


@pytest.mark.slow
def test_the_address_of_a_cluster_of_ray_passes():
    ray = pytest.importorskip("ray", reason="the engine ray needs the extra 'cluster'")
    engine = RayEngine(1, None)
    try:
        check_address(ray.get_runtime_context().gcs_address)
    finally:
        engine.close()
