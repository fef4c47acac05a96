"""What looks like a secret, and what it goes by."""

from __future__ import annotations

import time

import pytest

from opencode_sync.masking import HIDDEN, is_secret_name, mask, mask_keys


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk-ant-api03-0123456789abcdef!", f"key sk-{HIDDEN}!"),
        ("xai-0123456789abcdef", f"xai-{HIDDEN}"),
        ("ghp_0123456789abcdefABCDEF", f"ghp_{HIDDEN}"),
        ("AIzaSyA-0123456789_abcdefghijklmnopqrstu", f"AIza{HIDDEN}"),
        ("AKIAIOSFODNN7EXAMPLE", f"AKIA{HIDDEN}"),
        ("Authorization: Bearer aB3.DEF-123456", f"Authorization: Bearer {HIDDEN}"),
        ("Basic b3BlbmNvZGU6c2VjcmV0", f"Basic {HIDDEN}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", f"eyJ{HIDDEN}"),
        ("GET /x?api_key=abcdef&y=1", f"GET /x?api_key={HIDDEN}&y=1"),
        ("OPENCODE_SERVER_PASSWORD=hunter22 opencode", None),
        ("password='hunter22'", f"password='{HIDDEN}'"),
        ("key='abcd1234' x", f"key='{HIDDEN}' x"),
        ('api_key="with space, \\" and comma", x', f'api_key="{HIDDEN}", x'),
        ('{"password": "hunter22", "a": "b"}', f'{{"password": "{HIDDEN}", "a": "b"}}'),
        (r'"{\"token\": \"a\\\"b c\", \"a\": 1}"', rf'"{{\"token\": \"{HIDDEN}\", \"a\": 1}}"'),
        ("{'Authorization': 'Bearer aB3.DEF-123456'}", f"{{'Authorization': '{HIDDEN}'}}"),
        ("headers['x-api-key'] = 'abcd1234'", f"headers['x-api-key'] = '{HIDDEN}'"),
        ("accessToken=abcdef;", f"accessToken={HIDDEN};"),
        ("apiKey: abcdef", f"apiKey: {HIDDEN}"),
        ("x-api-key: abcdef\r\nHost: x", f"x-api-key: {HIDDEN}\r\nHost: x"),
        ("Authorization: Token abcdef123", f"Authorization: Token {HIDDEN}"),
        ("password: swordfish", f"password: {HIDDEN}"),
        ("password = hunter2longer", f"password = {HIDDEN}"),
        ("[db]\ndb_password =hunter22\n", f"[db]\ndb_password ={HIDDEN}\n"),
        ('"token":12345678', f'"token":{HIDDEN}'),
        ("PASSWORD=12345678 next_token=abcd", f"PASSWORD={HIDDEN} next_token={HIDDEN}"),
        ("<password>hunter2longer</password>", f"<password>{HIDDEN}</password>"),
        ('<a:apiKey id="1">a b</a:apiKey>', f'<a:apiKey id="1">{HIDDEN}</a:apiKey>'),
        ("<token><![CDATA[a]b]]></token>", f"<token><![CDATA[{HIDDEN}]]></token>"),
        ("{'x-api-key': b'abcd1234'}", f"{{'x-api-key': b'{HIDDEN}'}}"),
        ("{b'token': b'ab\\'cd'}", f"{{b'token': b'{HIDDEN}'}}"),
        ("(b'x-api-key', b'abcd1234')", f"(b'x-api-key', b'{HIDDEN}')"),
        ("[('x-api-key', 'abcd1234')]", f"[('x-api-key', '{HIDDEN}')]"),
        ('[["Authorization","Basic dTpw"]]', f'[["Authorization","{HIDDEN}"]]'),
        ("Bearer abcdefghijklm", f"Bearer {HIDDEN}"),
        ("Bearer abcdefghijklm was refused", f"Bearer {HIDDEN} was refused"),
        ("sk_live_0123456789", f"sk_live_{HIDDEN}"),
        ("my_glpat-0123456789 nvapi-0123456789", f"my_glpat-{HIDDEN} nvapi-{HIDDEN}"),
        ("pplx-0123456789", f"pplx-{HIDDEN}"),
        ("r8_0123456789abcdefghijklmnop", f"r8_{HIDDEN}"),
        ("my-eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", f"my-eyJ{HIDDEN}"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\nabc\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END RSA PRIVATE KEY-----",
        ),
        ("http://me:hun/t@r22@127.0.0.1:4096/", f"http://me:{HIDDEN}@127.0.0.1:4096/"),
        ("http://me:hunter22@127.0.0.1:4096/", f"http://me:{HIDDEN}@127.0.0.1:4096/"),
        ("curl -u me:hun/t@r2 http://x", f"curl -u me:{HIDDEN} http://x"),
        ("curl --user=me@example.org:12ab; ls", f"curl --user=me@example.org:{HIDDEN}; ls"),
        ("curl -s --proxy-user 'me:with space' x", f"curl -s --proxy-user 'me:{HIDDEN}' x"),
        (r'"curl -u \"me:a b\" x"', rf'"curl -u \"me:{HIDDEN}\" x"'),
        ("['curl', '-u', 'me:a b']", f"['curl', '-u', 'me:{HIDDEN}']"),
        ('["-u","me:a"]', f'["-u","me:{HIDDEN}"]'),
        ("x --password hunter22 --y", f"x --password {HIDDEN} --y"),
        ("x --auth-token 'a b'", f"x --auth-token '{HIDDEN}'"),
        ("['--my-api-key', 'a b']", f"['--my-api-key', '{HIDDEN}']"),
        ("x --token abcd serve", f"x --token {HIDDEN} serve"),
        ("mysql -u root -phunter22 db", f"mysql -u root -p{HIDDEN} db"),
        ("mysqldump --port 1 -p'hunter22' db", f"mysqldump --port 1 -p'{HIDDEN}' db"),
        ("['mysql', '-h', 'x', '-phunter22']", f"['mysql', '-h', 'x', '-p{HIDDEN}']"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, masked: str | None) -> None:
    if masked is None:
        masked = f"OPENCODE_SERVER_PASSWORD={HIDDEN} opencode"
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("Cookie: theme=dark; sessionid=abcdef", "Cookie: "),
        ("Set-Cookie: sid=abcdef; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "Set-Cookie: "),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/2, Signature=fe5f", "Authorization: "),
        ("Proxy-Authorization: Digest username=u, response=66", "Proxy-Authorization: "),
        ("Digest username=u, response=66", "Digest "),
        ("OAuth oauth_token=abcd, oauth_signature=efgh", "OAuth "),
        ("AWS4-HMAC-SHA256 Credential=AK/2, Signature=fe5f", "AWS4-HMAC-SHA256 "),
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("refused: ", ""),
        ("", "\r\nHost: x"),
        ("GET / HTTP/1.1\n", "\nHost: x"),
        ("'", "' was refused"),
        ('{"sent": "', '", "status": 401}'),
        (r'{"sent": "', r'\r\nHost: x", "status": 401}'),
        (r'"{\"sent\": \"', r'\", \"status\": 401}"'),
    ],
)
def test_of_a_header_of_several_parts_the_rest_of_its_line_is_hidden(
    line: str, masked: str, before: str, behind: str
) -> None:
    assert mask(f"{before}{line}{behind}") == f"{before}{masked}{HIDDEN}{behind}"


@pytest.mark.parametrize(
    "quoted",
    [
        'username="a b", response="66\'29" ',
        "username='a b', response='66\"29', opaque=",
        r"username=\"a\b\", response=\"6629\"",
        'username="cut',
    ],
)
def test_parts_of_a_header_may_be_in_quotes(quoted: str) -> None:
    assert mask(f"Authorization: Digest {quoted}") == f"Authorization: {HIDDEN}"
    assert mask(f"Digest {quoted}\nnext") == f"Digest {HIDDEN}\nnext"


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication is needed",
        "basic authentication",
        "sk-ip this",
        "request 17 was answered as its time ran out",
        "ws://127.0.0.1:4096/ closed (code 1000)",
        "ses_2f7c8a1b0ffe4c3d9a8b7c6d5e the keyboard",
        "connection connecting -> authenticating",
        "Bearer token is missing",
        "token: is missing, give one",
        "max_tokens=4096, 'tokens': 12345678, monkey='banana', the key: abcdef",
        "max_token=4096, maxToken: 4096, 'input-token': 40961, OUTPUT_TOKEN=81920",
        "token_count=40961, token_limit: 40961",
        "token == expected or password != other",
        "password = None\nsecret =\nuser=x",
        "['token', 'password', 'name']",
        "login <user> <password> [--x]; <token> -> <x>; <password/><a>b</a>",
        "connection token -> x -> y",
        'WWW-Authenticate: Digest realm="x", nonce="y"',
        "Cookie: is missing; cookie: none; cookie jar=full",
        "oauth error=invalid_grant; Authorization: needs more",
        "http://127.0.0.1:4096/@scope/package",
        "'token': None",
        f"token={HIDDEN} password: {HIDDEN}",
        "docker run -u 1000:1000 --user '0:0' x",
        "git push -u https://127.0.0.1/x main:main",
        "pytest -u tests/x.py::test_y",
        "date -u +%H:%M:%S",
        "give --password or --token to the program",
        "give --password instead of this",
        "mysql -p db; mkdir -pv x",
        "docker run --name mysql -p3306:3306",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text


# Texts that make a search look far ahead in vain, or begin again and again.
_WORST = {
    "keys of providers": ["sk-", "sk-1234567 ", "r8_"],
    "private keys": ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-"],
    "web tokens": ["eyJ-", "eyJaaaaaaaa.", "eyJaaaaaaaa", "a-eyJ."],
    "bearer": ["bearer ", "bearer  auth ", "basic a", "Basic\n", " "],
    "members": [
        '"',
        "\\",
        "token:",
        'token":"',
        'token":"' + "\\" * 9,
        "key='\\\\' ",
        'token\\":\\"',
    ],
    "pairs": ["('token','", "('token',\"('token',\\\"", "('", "(", "['a-token', '", "('token', 'x"],
    "elements": ["<token>", "<token>]", "<", "<a", "<token ", "<token><![CDATA[", "token>"],
    "headers": [
        "cookie: a=",
        "cookie: a='",
        "cookie: a=\"cookie: a='",
        "cookie: a=\\",
        "cookie:",
        "authorization: a ",
        "authorization: a a=",
        "digest ",
        "aws4-",
        "digest id=",
    ],
    "parameters": [
        "token=",
        "token = ",
        "max_token",
        "key=",
        "key=a ",
        "password: ",
        "authorization: bearer ",
    ],
    "command lines": [
        "-u ",
        "-u a:",
        "-u 'a:",
        "-u 'a:\\",
        "-u','",
        "--user a",
        "--password ",
        "--a-",
        "-- ",
        "mysql ",
        "mysql a ",
        "mysql','",
        "mysql -p",
    ],
    "addresses": ["://", "://:", "://a:", "://a:@", "://a:b", "a:", "@"],
}


@pytest.mark.parametrize(("kind", "unit"), [(kind, u) for kind in _WORST for u in _WORST[kind]])
@pytest.mark.parametrize("before", ["", 'token: "', "://a:", "bearer", "eyJ"])
def test_no_text_takes_long(kind: str, unit: str, before: str) -> None:
    """In time that grows as the square of the length it would be several seconds or more."""
    text = before + unit * (40_000 // len(unit))
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 2, kind


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("DB_PASSWORD", True),
        ("accessToken", True),
        ("x-api-key", True),
        ("OPENAI_API_KEY", True),
        ("privateKey", True),
        ("key", True),
        ("Cookie", True),
        ("tokens", False),
        ("keys", False),
        ("monkey", False),
        ("token_length", False),
        ("max_token", False),
        ("maxToken", False),
        ("prompt-token", False),
        ("next_token", True),
        ("operation", False),
    ],
)
def test_some_names_are_those_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_keys_alone_can_be_masked() -> None:
    text = "key sk-0123456789abcdef, password=hunter22, Bearer aB3.DEF-123456"
    assert mask_keys(text) == f"key sk-{HIDDEN}, password=hunter22, Bearer {HIDDEN}"
