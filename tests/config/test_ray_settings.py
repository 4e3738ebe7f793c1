"""The settings of a Ray cluster: none that lets others in."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import SettingsError, load

TLS = 'tls = { certificate = "a.pem", key = "a.key", ca_file = "ca.pem" }\n'


def settings(folder: Path, ray: str, reader: str = 'executor = "ray"'):
    path = folder / "node.toml"
    path.write_text(f'data_dir = "data"\n[reader]\n{reader}\n[ray]\n{ray}')
    return load(path)


@pytest.mark.parametrize(
    ("ray", "says"),
    [
        ("", "needs ray.address"),
        ('address = "127.0.0.1:6379"\n', "without a token anybody who reaches the cluster runs code on it"),
        ('address = "10.1.2.3:6379"\n' + TLS, "without a token anybody who reaches the cluster runs code on it"),
        ('address = "10.1.2.3:6379"\ntoken_file = "token"\n', "images and the token need tls"),
        ('address = "gpu.example:6379"\ntoken_file = "token"\n', "images and the token need tls"),
        ('address = "ray://10.1.2.3:10001"\ntoken_file = "token"\n' + TLS, "must be the host and port"),
        ('address = "10.1.2.3"\ntoken_file = "token"\n' + TLS, "must be the host and port"),
        ("gpus_per_actor = 1.5\n", "a share of one GPU, such as 0.5, or a whole number"),
        ("min_actors = 3\nmax_actors = 2\n", "max_actors is less than min_actors"),
    ],
)
def test_a_cluster_without_token_or_tls_is_refused(tmp_path: Path, ray: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(tmp_path, ray)


def test_a_named_gpu_is_refused_since_ray_chooses_it(tmp_path: Path) -> None:
    ray = 'address = "127.0.0.1:6379"\ntoken_file = "token"\n'
    with pytest.raises(SettingsError, match="Ray chooses the GPU"):
        settings(tmp_path, ray, 'executor = "ray"\ndevice = "cuda:1"')


def test_the_files_are_beside_the_settings(tmp_path: Path) -> None:
    ray = settings(tmp_path, 'address = "[fd00::1]:6379"\ntoken_file = "token"\n' + TLS).ray
    assert (ray.host, ray.port, ray.is_local) == ("fd00::1", 6379, False)
    assert ray.token_file == tmp_path / "token"
    assert ray.tls is not None
    assert (ray.tls.certificate, ray.tls.key, ray.tls.ca_file) == tuple(
        tmp_path / n for n in ("a.pem", "a.key", "ca.pem")
    )
