"""The same program in other sizes: servers that are given, several web processes, no demonstration."""

from pathlib import Path

import httpx2
import pytest

from tests.running import City, free_port


def _get(city: City, path: str) -> httpx2.Response:
    return httpx2.get(city.base_url + path, trust_env=False, timeout=60, headers={"Accept": "text/html"})


@pytest.mark.long
def test_given_servers_are_used_and_two_web_processes_serve(tmp_path: Path, database_url: str, redis_url: str) -> None:
    given = {"FUJIE_DATABASE_URL": database_url.replace("+asyncpg", ""), "FUJIE_REDIS_URL": redis_url, "FUJIE_WORKERS": "2"}
    city = City(tmp_path / "home", free_port(), more=given).start()
    try:
        assert not (city.home / "postgres").exists()
        assert not (city.home / "valkey").exists()
        code = city.demo["certificate"]["verification_code"]
        assert all('data-status="in_force"' in _get(city, f"/v/{code}").text for _ in range(8))
        assert city.fujie("audit", "verify").returncode == 0
    finally:
        assert city.stop() == 0


def test_without_a_demonstration_nothing_is_made_up(tmp_path: Path) -> None:
    city = City(tmp_path / "home", free_port(), more={"FUJIE_DEMO": "0"}).start()
    try:
        assert not (city.home / "demo.json").exists()
        assert _get(city, "/").status_code == 200
        assert _get(city, "/demo/water").status_code == 404
        assert _get(city, "/.well-known/openid-configuration").json()["issuer"] == city.base_url
        made = city.fujie("user", "create", "clerk-1", "窗口一号", "--division", "990100", "--role", "citizen")
        assert made.returncode == 0, made.stderr
        assert '"password"' in made.stdout
    finally:
        assert city.stop() == 0
