"""Which addresses may be fetched from, and that no way around the check leads anywhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.environment import NetworkSettings
from airflow_provider_apimart.results.download.address_policy import AddressPolicy, private_hosts
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.saver import ResultSaver
from tests.results.hostile import Asked, head, hostile, picture, whole
from tests.results.support import POLICY, files_below, save, saver_to

PICTURE = picture(5000)
PRIVATE = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.0.0.1": "private",
    "172.16.5.4": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "100.100.100.200": "private",
    "198.18.0.1": "private",
    "fd00::1": "private",
    "fec0::1": "private",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "169.254.169.254": "metadata",
    "168.63.129.16": "metadata",
    "192.0.0.192": "metadata",
    "fd00:ec2::254": "metadata",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "240.0.0.1": "",
    "255.255.255.255": "",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "metadata",
    "::ffff:10.0.0.1": "private",
    "::127.0.0.1": "",
    "::ffff:0:127.0.0.1": "",
    "64:ff9b::169.254.169.254": "metadata",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::1": "private",
    "2002:7f00:1::": "loopback",
    "2002:a9fe:a9fe::": "metadata",
    "2001:0:7f00:1::": "",
}
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]


def kind_of_refusal(policy: AddressPolicy, host: str, port: int, address: str) -> str | None:
    refusal = policy.refusal(host, port, address)
    return refusal.kind if refusal else None


def kind_by_default(address: str) -> str | None:
    return kind_of_refusal(AddressPolicy(), "results.example", 443, address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    kind = kind_by_default(address)
    assert kind is not None
    assert PRIVATE[address] in kind


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert kind_by_default(address) is None


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_the_same_in_every_notation(address: IPv4Address) -> None:
    for disguise in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert kind_by_default(disguise) == kind_by_default(str(address))
    # These two are no addresses of the public network, whatever they stand for.
    assert None not in {kind_by_default(f"::{address}"), kind_by_default(f"::ffff:0:{address}")}


def test_only_the_own_host_at_its_own_port_is_excepted() -> None:
    policy = AddressPolicy("https://Gateway.internal/prefix")
    assert policy.refusal("gateway.internal", 443, "10.0.0.1") is None
    assert kind_of_refusal(policy, "gateway.internal", 8443, "10.0.0.1") == "private"
    assert kind_of_refusal(policy, "other.internal", 443, "10.0.0.1") == "private"
    assert AddressPolicy("http://127.0.0.1:8000").refusal("127.0.0.1", 8000, "127.0.0.1") is None
    assert AddressPolicy(allowed=private_hosts(True)).refusal("x", 1, "169.254.169.254") is None
    assert kind_of_refusal(AddressPolicy(), "x", 80, "10.0.0.1") == "private"


ALLOWED = [
    (["198.18.0.0/15"], "cdn.example", "198.18.0.25"),
    (["198.18.0.0/15"], "cdn.example", "::ffff:198.18.0.25"),
    ("198.18.0.25", "cdn.example", "198.18.0.25"),
    ("10.0.0.0/8, cdn.internal", "CDN.internal.", "192.168.1.1"),
    (["*.internal"], "a.b.internal", "10.0.0.1"),
    (["fd00::/8"], "x", "fd00::1"),
    (["169.254.169.254"], "x", "169.254.169.254"),
    (True, "x", "127.0.0.1"),
]


@pytest.mark.parametrize(("value", "host", "address"), ALLOWED)
def test_a_host_or_network_can_be_allowed_by_itself(value: object, host: str, address: str) -> None:
    policy = AddressPolicy(allowed=private_hosts(value))  # type: ignore[arg-type]  # of any kind
    assert policy.refusal(host, 443, address) is None
    if value is not True:
        assert policy.refusal("other.example", 443, "127.0.0.1") is not None


@pytest.mark.parametrize("value", [[], ["198.18.0.0/15"], ["cdn.internal"], ["*.internal"], ["10.0.0.0/8"], False])
def test_a_name_never_leads_to_credentials(value: object) -> None:
    policy = AddressPolicy(allowed=private_hosts(value))  # type: ignore[arg-type]  # of any kind
    assert kind_of_refusal(policy, "cdn.internal", 80, "169.254.169.254") == "metadata"


@pytest.mark.parametrize(("value", "allows"), [("True", True), (" false", False), ("FALSE", False), (None, False)])
def test_a_switch_written_as_text_is_no_host(value: Any, allows: bool) -> None:
    policy = AddressPolicy(allowed=private_hosts(value))
    assert (policy.refusal("false", 443, "10.0.0.1") is None) is allows


@pytest.mark.parametrize(
    "value",
    [
        ["http://cdn.internal/"],
        "cdn.internal:8080",
        ["10.0.0.0/99"],
        [""],
        ["a b"],
        5,
        1.5,
        b"x",
        {"a": 1},
        [None],
        [5],
    ],
)
def test_an_entry_that_is_neither_host_nor_network_is_named(value: object) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match="allow_private_hosts"):
        private_hosts(value)  # type: ignore[arg-type]  # of any kind


@given(st.ip_addresses(), st.sampled_from(["cdn.internal", "localhost", "a.example"]))
def test_the_remedy_of_a_refusal_allows_what_was_refused(address: IPv4Address | IPv6Address, host: str) -> None:
    refusal = AddressPolicy().refusal(host, 443, str(address))
    if refusal:
        assert AddressPolicy(allowed=private_hosts([refusal.remedy])).refusal(host, 443, str(address)) is None


def test_a_refusal_names_the_value_to_add(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server:
        with saver_to(tmp_path) as saver, pytest.raises(errors.ApimartResultRefusedError) as caught:
            save(saver, server.url, "x")
        assert 'allow_private_hosts=["127.0.0.1"]' in str(caught.value)
        with saver_to(tmp_path, private=["127.0.0.1"]) as saver:
            assert save(saver, server.url, "x").bytes == len(PICTURE)


SPELLINGS = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0",
    "[::1]",
    "[::ffff:7f00:1]",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_this_machine_is_connected_to(tmp_path: Path, host: str) -> None:
    with (
        hostile(whole(PICTURE)) as server,
        saver_to(tmp_path) as saver,
        pytest.raises(errors.ApimartResultRefusedError, match="allow_private_hosts"),
    ):
        save(saver, f"http://{host}:{server.port}/x.png", "x")
    assert server.connections == 0
    assert files_below(tmp_path) == []


def test_private_hosts_can_be_allowed(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, private=True) as saver:
        assert save(saver, server.url, "x").bytes == 5000


TARGETS = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "//127.0.0.1:{port}/x",
    "http://2130706433:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://user:password@127.0.0.1:{port}/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://0.0.0.0:{port}/",
    "http://10.0.0.1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "gopher://127.0.0.1:{port}/x",
    "data:image/png;base64,iVBORw0KGgo=",
    "http://[::1/x",
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_redirect_leads_inside(tmp_path: Path, target: str) -> None:
    with hostile(whole(PICTURE)) as inside:

        def redirecting(asked: Asked) -> list[bytes]:
            return [head("302 Found", location=target.format(port=inside.port), content_length=0)]

        with hostile(redirecting) as server, saver_to(tmp_path, server.url) as saver:
            with pytest.raises(errors.ApimartResultRefusedError):
                save(saver, server.url, "x")
            assert len(server.asked) == 1
    assert inside.connections == 0
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_taking_anything_along(tmp_path: Path, status: int) -> None:
    with hostile(whole(PICTURE)) as there:

        def redirecting(asked: Asked) -> list[bytes]:
            return [head(f"{status} Go", location=f"{there.url}/y", set_cookie="a=b"), b"x" * 100_000]

        with hostile(redirecting) as server, saver_to(tmp_path, private=True) as saver:
            assert save(saver, server.url.replace("//", "//user:password@"), "x").bytes == 5000
    assert {"authorization", "cookie", "referer"}.isdisjoint(there.asked[0].headers)


def test_redirects_are_bounded(tmp_path: Path) -> None:
    def redirecting(asked: Asked) -> list[bytes]:
        return [head("302 Found", location=f"/{asked.number}")]

    with hostile(redirecting) as server, saver_to(tmp_path, server.url) as saver:
        with pytest.raises(errors.ApimartDownloadError, match="redirects more than 5 times"):
            save(saver, server.url, "x")
        assert len(server.asked) == 6


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "", "http://[", "http://a b/"])
def test_what_is_no_http_url_is_refused(tmp_path: Path, url: str) -> None:
    with saver_to(tmp_path, private=True) as saver, pytest.raises(errors.ApimartDownloadError):
        save(saver, url, "x")


class Names:
    """Stands in for the name service, of which there is none here."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self._real = socket.getaddrinfo
        self.asked = 0

    def __call__(self, host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if not host.endswith(".test"):
            return self._real(host, port, *arguments, **options)
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [found for each in addresses for found in self._real(each, port, *arguments, **options)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    """Return a function that sets what names below ``.test`` mean."""

    def set_names(*answers: list[str]) -> Names:
        service = Names(*answers)
        monkeypatch.setattr(socket, "getaddrinfo", service)
        return service

    return set_names


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["169.254.169.254"]])
def test_a_name_with_a_private_address_is_refused(
    tmp_path: Path, names: Callable[..., Names], addresses: list[str]
) -> None:
    names(addresses)
    with (
        hostile(whole(PICTURE)) as server,
        saver_to(tmp_path) as saver,
        pytest.raises(errors.ApimartResultRefusedError, match=r"results\.test has the"),
    ):
        save(saver, f"http://results.test:{server.port}/x", "x")
    assert server.connections == 0


def test_the_address_that_was_checked_is_the_one_connected_to(tmp_path: Path, names: Callable[..., Names]) -> None:
    service = names(["127.0.0.1"], ["127.0.0.99"])
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, f"http://results.test:{server.port}") as saver:
        save(saver, f"http://results.test:{server.port}/x", "x")
    assert service.asked == 1
    assert server.asked[0].headers["host"] == f"results.test:{server.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and its certificate, which is for ``results.test``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "results.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("results.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    return file


def test_tls_goes_by_the_name_and_not_by_the_address(
    tmp_path: Path, names: Callable[..., Names], certificate: Path
) -> None:
    names(["127.0.0.1"])
    asked_for: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    network = Network(
        address_policy=AddressPolicy(allowed=private_hosts(True)),
        settings=NetworkSettings(authorities=str(certificate)),
    )
    limits = Limits(policy=POLICY)

    def secure(connection: socket.socket) -> socket.socket:
        return context.wrap_socket(connection, server_side=True)

    with (
        hostile(whole(PICTURE), wrap=secure) as server,
        ResultSaver(str(tmp_path), network=network, limits=limits) as saver,
    ):
        assert save(saver, f"https://results.test:{server.port}/x", "x").bytes == 5000
        assert asked_for == ["results.test"]
        with pytest.raises(errors.ApimartDownloadError, match=r"certificate|CERTIFICATE"):
            save(saver, f"https://other.test:{server.port}/x", "y")
        with pytest.raises(errors.ApimartDownloadError, match="certificate"):
            save(saver, f"https://127.0.0.1:{server.port}/x", "y")
    assert len(server.asked) == 1


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Provide a proxy that the environment names, and that answers itself."""
    with hostile(whole(PICTURE)) as server:
        monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "direct.test")
        yield server


def test_a_proxy_resolves_names(tmp_path: Path, proxy: Any) -> None:
    with saver_to(tmp_path) as saver:
        save(saver, "http://results.test/x", "x")
    (asked,) = proxy.asked
    assert asked.path == "http://results.test/x"
    assert asked.headers["proxy-authorization"].startswith("basic ")


@pytest.mark.parametrize("host", [*SPELLINGS, "169.254.169.254", "x.localhost"])
def test_a_proxy_is_not_asked_for_an_address_inside(tmp_path: Path, proxy: Any, host: str) -> None:
    with saver_to(tmp_path) as saver, pytest.raises(errors.ApimartResultRefusedError):
        save(saver, f"http://{host}/x", "x")
    assert proxy.asked == []


def test_what_needs_no_proxy_is_checked(tmp_path: Path, proxy: Any, names: Callable[..., Names]) -> None:
    names(["10.0.0.1"])
    with saver_to(tmp_path) as saver, pytest.raises(errors.ApimartResultRefusedError, match="private address"):
        save(saver, "http://direct.test/x", "x")
    assert proxy.asked == []
