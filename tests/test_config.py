"""Settings: from the file and the environment; what is wrong is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from velocity.access.bounds import BOUNDS
from velocity.api.bounds import RequestLimits
from velocity.config import ConfigError, Settings, foreign, load


def test_with_nothing_at_all_it_serves() -> None:
    settings = load(environ={})
    assert settings.listen == "127.0.0.1:8090"
    assert [(pool.mpid, pool.name) for pool in settings.media_pools] == [(1, "default")]
    assert settings.nics == []
    assert settings.data_dir.is_absolute()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "velocity.toml"
    file.write_text('listen = "127.0.0.1:1"\nauthkey_lifetime = 60\n[[pools]]\nmpid = 4\nname = "p"\npath = "pool"\n')
    settings = load(environ={"VELOCITY_CONFIG": str(file), "VELOCITY_LISTEN": "[::1]:2", "VELOCITY_NICS": "[]"})
    assert settings.address == ("::1", 2)
    assert settings.base_url == "http://[::1]:2"
    assert settings.authkey_lifetime == 60
    assert settings.media_pools[0].path == tmp_path / "pool"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('listen = "x:1"\ncolour = 3\n', "line 2"),
        ("\n\nauthkey_lifetime = 0\n", "line 3"),
        ('a = 1\n[[pools]]\nmpid = "x"\n', "line 1"),
        ('[[pools]]\nmpid = "x"\n', "line 1"),
        ("listen = \n", "line 1"),
        pytest.param(f"authkey_lifetime = {'9' * 5000}\n", "velocity.toml: Exceeds the limit", id="digits"),
        pytest.param(f"pools = {'[' * 5000}\n", "velocity.toml: maximum recursion depth", id="brackets"),
        ('data_dir = "~nobody-of-this-name/data"\n', "data_dir: ~nobody-of-this-name stands for no user's home"),
        ('[[pools]]\nmpid = 1\nname = "a"\npath = "~nobody-of-this-name"\n', "pools: path: ~nobody-of-this-name"),
    ],
)
def test_the_file_is_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "velocity.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(file, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VELOCITY_LISTEN", "nowhere"),
        ("VELOCITY_LISTEN", "127.0.0.1:70000"),
        ("VELOCITY_AUTHKEY_LIFETIME", "soon"),
        ("VELOCITY_ACCELERATOR", "warp"),
        ("VELOCITY_ROOT_PASSWORD", "short"),
        ("VELOCITY_TLS_CERT", "/alone"),
        ("VELOCITY_POOLS", '[{mpid=1, name="a", path="/a"}, {mpid=1, name="b", path="/b"}]'),
        ("VELOCITY_POOLS", '[{mpid=1, name="a", path="/a", size=3}]'),
        ("VELOCITY_NICS", '[{nicid=1, identifier="a/b"}]'),
        ("VELOCITY_NAT_SUBNET", "yes"),
        ("VELOCITY_NAT_SUBNET", "10.80.0.1/20"),
        ("VELOCITY_NAT_SUBNET", "203.0.113.0/24"),
        ("VELOCITY_NAT_SUBNET", "10.0.0.0/8"),
        ("VELOCITY_NAT_SUBNET", "192.168.0.0/30"),
        ("VELOCITY_MOVE_ADDRESS", "0.0.0.0"),
        ("VELOCITY_MOVE_ADDRESS", "1.2.3.400"),
        ("VELOCITY_MOVE_PORTS", "8100"),
        ("VELOCITY_MOVE_PORTS", "8100-8100"),
        ("VELOCITY_MOVE_PORTS", "0-7"),
        ("VELOCITY_MOVE_PORTS", "65000-70000"),
        ("VELOCITY_TRUSTED_PROXIES", '["proxy.example"]'),
        ("VELOCITY_TRUSTED_PROXIES", '["10.0.0.1/8"]'),
        ("VELOCITY_TRUSTED_PROXIES", '["10.0.0.0/33"]'),
        ("VELOCITY_TRUSTED_PROXIES", '"127.0.0.1"'),
        pytest.param("VELOCITY_POOLS", "[" * 5000, id="brackets"),
        pytest.param("VELOCITY_AUTHKEY_LIFETIME", "9" * 5000, id="digits"),
        ("VELOCITY_DATA_DIR", "~nobody-of-this-name/data"),
    ],
)
def test_the_environment_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environ={name: value})
    assert name.removeprefix("VELOCITY_").lower() in str(refused.value).lower()


KUBERNETES = {
    "VELOCITY_PORT": "tcp://10.0.0.1:8090",
    "VELOCITY_PORT_8090_TCP": "tcp://10.0.0.1:8090",
    "VELOCITY_PORT_8090_TCP_ADDR": "10.0.0.1",
    "VELOCITY_SERVICE_HOST": "10.0.0.1",
    "VELOCITY_SERVICE_PORT": "8090",
    "VELOCITY_SERVICE_PORT_HTTP": "8090",
}
"""What every container gets beside a service of our name."""


@pytest.mark.parametrize("subnet", ["", "none", "10.80.0.0/20", "172.31.0.0/16", "192.168.9.0/29"])
def test_the_network_of_nat_can_be_chosen(subnet: str) -> None:
    assert load(environ={"VELOCITY_NAT_SUBNET": subnet}).nat_subnet == subnet


def test_where_machines_of_other_hosts_come_can_be_chosen() -> None:
    assert (load(environ={}).move_host, load(environ={}).move_range) == ("", range(8100, 8132))
    assert load(environ={"VELOCITY_NODE_LISTEN": "192.0.2.8:8091"}).move_host == "192.0.2.8"
    assert load(environ={"VELOCITY_NODE_LISTEN": "[::]:8091"}).move_host == ""
    set_ = {"VELOCITY_NODE_LISTEN": "192.0.2.8:8091", "VELOCITY_MOVE_ADDRESS": "fd00::7", "VELOCITY_MOVE_PORTS": "9-10"}
    assert (load(environ=set_).move_host, load(environ=set_).move_range) == ("fd00::7", range(9, 11))


@pytest.mark.holds("CLI-3")
def test_variables_of_others_with_our_prefix_end_nothing() -> None:
    others = {**KUBERNETES, "VELOCITY_COLOUR": "red", "VELOCITY_LISTN": "x", "velocity_listen": "x", "VELOCITY_": "x"}
    assert load(environ=others) == load(environ={})
    assert foreign(others) == sorted(set(others) - {"velocity_listen"})


@pytest.mark.holds("CLI-3")
def test_all_variables_of_our_own_work(tmp_path: Path) -> None:
    """Those that are no settings, too, set to nothing or to something."""
    for value in ("", "1"):
        assert load(environ={f"VELOCITY_{name}": value for name in ("SERVER", "AUTHKEY", "CA", "TRACEBACK")}).listen
    texts = {
        "pools": '[{mpid=3, name="p", path="/p"}]', "nics": '[{nicid=1, identifier="br0"}]', "log_stalls": "true",
        "cors_origins": '["https://a.example"]', "trusted_proxies": '["10.0.0.0/8"]', "accelerator": "tcg",
        "standby": "true",
        "listen": "[::]:1", "database": "postgresql://a/b", "root_password": "12345678", "trash_days": "0",
    }  # fmt: skip
    settings = [one for one in Settings.__struct_fields__ if one not in texts]
    texts |= {name: str(getattr(load(environ={}), name)) for name in settings if "tls" not in name}
    texts |= {"tls_cert": "a.pem", "tls_key": "b.pem", "runtime_dir": "run", "data_dir": str(tmp_path)}
    made = load(environ={f"VELOCITY_{name.upper()}": text for name, text in texts.items()})
    assert (made.tls_cert, made.runtime_dir) == (str(Path.cwd() / "a.pem"), str(Path.cwd() / "run"))
    assert (made.root_password, made.trash_days, made.log_stalls, made.data_dir) == ("12345678", 0, True, tmp_path)


RBD = 'mpid = 2\nname = "ceph"\nkind = "rbd"\n'


@pytest.mark.holds("MANY-204")
@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (RBD, "needs rados_pool"),
        (RBD + 'rados_pool = "vm"\npath = "/p"\n', "remove path and shared"),
        (RBD + 'rados_pool = "vm"\nshared = true\n', "remove path and shared"),
        ('mpid = 2\nname = "p"\n', "needs a path"),
        ('mpid = 2\nname = "p"\npath = "/p"\nnamespace = "n"\n', "namespace, which is for"),
        (RBD + 'rados_pool = "vm/x"\n', "rados_pool"),
    ],
)
def test_what_belongs_to_another_kind_of_pool_is_refused(pool: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "velocity.toml"
    file.write_text("[[pools]]\n" + pool)
    with pytest.raises(ConfigError, match=words):
        load(file, {})


def test_two_pools_are_not_at_the_same_place(tmp_path: Path) -> None:
    file = tmp_path / "velocity.toml"
    one = RBD + 'rados_pool = "vm"\nnamespace = "{}"\n'
    other = one.replace("mpid = 2", "mpid = 3").replace('"ceph"', '"other"')
    file.write_text("[[pools]]\n" + one.format("ours") + "[[pools]]\n" + other.format("theirs"))
    assert [pool.is_shared for pool in load(file, {}).media_pools] == [True, True]
    file.write_text("[[pools]]\n" + one.format("ours") + "[[pools]]\n" + other.format("ours"))
    with pytest.raises(ConfigError, match="occurs twice"):
        load(file, {})


@pytest.mark.holds("BOUND-5", "BOUND-7", "BOUND-10", "BOUND-12", "BOUND-22", "BOUND-23", "BOUND-30")
def test_the_bounds_are_the_numbers_that_are_promised() -> None:
    settings = Settings()
    assert {name: getattr(settings, name) for name in vars(BOUNDS)} == vars(BOUNDS), "as where nothing is set"
    assert (BOUNDS.group_depth, BOUNDS.group_subgroups) == (32, 1000)
    assert (BOUNDS.group_vms, BOUNDS.group_media, BOUNDS.group_users) == (10_000, 10_000, 10_000)
    assert (BOUNDS.user_sessions, BOUNDS.user_tickets, BOUNDS.user_keys, BOUNDS.user_uploads) == (1000, 64, 1000, 16)
    assert (BOUNDS.user_tasks, BOUNDS.user_pictures, BOUNDS.user_consoles) == (32, 8, 1000)
    assert settings.event_streams == 16
    limits = RequestLimits()
    assert (limits.head, limits.lines, limits.seconds, limits.connections) == (64 << 10, 256, 10, 256)
