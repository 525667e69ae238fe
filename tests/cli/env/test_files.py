"""The files, read by parsers of their formats. tests/clients/test_env_tools.py has wget and apt read them."""

from __future__ import annotations

import configparser
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from px.cli.env.files import FILES
from tests.cli.env.test_endpoint import LOCAL, endpoint_with

RULES = "10.*, 172.16.0.0/15, 192.168.7.7, fd00::/8, .corp.example, *.dom.example"
NO_PROXY = f"{LOCAL},10.0.0.0/8,172.16.0.0/15,192.168.7.7,fd00::/8,corp.example,.dom.example"
JAVA = (
    "localhost|*.localhost|127.0.0.1|[::1]|10.*|172.16.*|172.17.*|192.168.7.7"
    "|corp.example|*.corp.example|*.dom.example"
)


def text_of(name: str, *, has_login: bool = False) -> str:
    values = replace(endpoint_with(RULES), has_login=has_login).values
    return "\n".join(FILES[name].use(values))


def test_docker_settings_are_two_json_files():
    text = text_of("docker")
    code = "".join(line for line in text.splitlines() if not line.startswith("#"))
    pulls, end = json.JSONDecoder().raw_decode(code)
    runs = json.loads(code[end:])
    assert pulls["proxies"] == {
        "http-proxy": "http://127.0.0.1:3129",
        "https-proxy": "http://127.0.0.1:3129",
        "no-proxy": NO_PROXY,
    }
    assert runs["proxies"]["default"] == {
        "httpProxy": "http://host.docker.internal:3129",
        "httpsProxy": "http://host.docker.internal:3129",
        "noProxy": NO_PROXY,
    }


def test_vs_code_settings_are_json_with_comments():
    text = "".join(line for line in text_of("vscode").splitlines() if not line.startswith("//"))
    assert json.loads(text) == {"http.proxy": "http://127.0.0.1:3129", "http.noProxy": NO_PROXY.split(",")}


def test_variables_for_containers_have_no_quotes():
    lines = [line for line in text_of("container").splitlines() if not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines)
    url = "http://host.docker.internal:3129"
    lower = {"http_proxy": url, "https_proxy": url, "no_proxy": NO_PROXY}
    assert variables == {**lower, **{name.upper(): value for name, value in lower.items()}}


@pytest.mark.parametrize("has_login", [False, True])
def test_maven_settings_have_a_proxy_for_each_scheme(has_login):
    settings = ET.fromstring(text_of("maven", has_login=has_login))
    login = {"username": "USER", "password": "PASSWORD"} if has_login else {}
    assert settings.tag == "settings"
    assert [{each.tag: each.text for each in proxy} for proxy in settings.findall("proxies/proxy")] == [
        {
            "id": f"px-{scheme}",
            "active": "true",
            "protocol": scheme,
            "host": "127.0.0.1",
            "port": "3129",
            "nonProxyHosts": JAVA,
            **login,
        }
        for scheme in ("http", "https")
    ]


@pytest.mark.parametrize("has_login", [False, True])
def test_gradle_settings_are_properties(has_login):
    parser = configparser.RawConfigParser(delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keep the case
    parser.read_string(f"[properties]\n{text_of('gradle', has_login=has_login)}")
    login = {"proxyUser": "USER", "proxyPassword": "PASSWORD"} if has_login else {}
    proxy = {"proxyHost": "127.0.0.1", "proxyPort": "3129", "nonProxyHosts": JAVA, **login}
    basic = {"systemProp.jdk.http.auth.tunneling.disabledSchemes": ""} if has_login else {}
    assert dict(parser["properties"]) == basic | {
        f"systemProp.{scheme}.{name}": value for scheme in ("http", "https") for name, value in proxy.items()
    }
