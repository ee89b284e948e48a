"""node.yml's schema: safe by default, plain HTTP on loopback only."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from node.domain.errors import InsecureBind
from node.domain.nodefile import ApiBind, NodeFile, SyntheticCamera, Tls, check_bind

TLS = Tls(certificate="node.pem", key="node.key")


def test_an_empty_file_is_one_synthetic_camera_on_loopback_with_no_token() -> None:
    node_file = NodeFile()
    assert node_file.cameras == {"main": SyntheticCamera(backend="synthetic")}
    assert (node_file.api.host, node_file.api.tokens) == ("127.0.0.1", [])


@pytest.mark.parametrize("backend", ["synthetic", "replay", "opencv", "picamera2"])
def test_every_backend_takes_only_its_own_fields(backend: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        NodeFile.model_validate({"cameras": {"c": {"backend": backend, "folder": "x", "source": "y"}}})


@pytest.mark.parametrize("cameras", [{}, {"C": {"backend": "synthetic"}}, {"c": {"backend": "polaroid"}}, {"c": {}}])
def test_cameras_need_a_name_and_a_backend(cameras: object) -> None:
    with pytest.raises(ValidationError):
        NodeFile.model_validate({"cameras": cameras})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_plain_http_is_spoken_on_loopback_when_asked_for(host: str) -> None:
    check_bind(ApiBind(host=host, insecure_loopback=True))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_plain_http_is_refused_elsewhere(host: str) -> None:
    with pytest.raises(InsecureBind, match=r"not loopback"):
        check_bind(ApiBind(host=host, insecure_loopback=True))


def test_plain_http_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(InsecureBind, match="insecure_loopback is not set"):
        check_bind(ApiBind())


def test_tls_may_listen_anywhere() -> None:
    check_bind(ApiBind(host="0.0.0.0", tls=TLS))


@pytest.mark.parametrize("sha256", ["secret", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_token_is_kept_as_a_hash_only(sha256: str) -> None:
    with pytest.raises(ValidationError):
        NodeFile.model_validate({"api": {"tokens": [{"name": "a", "role": "viewer", "sha256": sha256}]}})
