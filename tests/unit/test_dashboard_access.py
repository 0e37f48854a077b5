"""Who may see and do what on the dashboard: every rule, asked as a browser would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp

from dashboard.access.gate import Access, address_of, while_admitted
from dashboard.access.guard import MAX_FORM_BYTES, local_path
from dashboard.access.rules import is_loopback, rules
from dashboard.access.sessions import Sessions
from dashboard.access.throttle import Throttle
from dashboard.access.visitor import Role
from dashboard.app import make_app
from replay.contracts import State
from replay.errors import ConfigurationError
from replay.settings import Settings
from tests.batches import make_run, record
from tests.factories import make_task
from tests.web import OPERATOR, VIEWER, Browser, Recorder, csrf_of, dashboard

CANCEL = "/lanes/local/pause"
TEMPLATES = Path(__file__).parents[2] / "dashboard" / "templates"


@pytest.fixture
def recorder() -> Recorder:
    """What was asked for."""
    return Recorder()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No tokens."""
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def guarded(tmp_path: Path) -> Settings:
    """A token for each role."""
    return Settings(data_dir=tmp_path / "data", dashboard_viewer_token=VIEWER, dashboard_operator_token=OPERATOR)


def signed_in(app: ASGIApp, token: str, base: str = "http://localhost:8410") -> Browser:
    """A browser with a session."""
    browser = Browser(app, base)
    answer = browser.sign_in(token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return browser


def csrf(browser: Browser) -> str:
    """What the forms of a session carry: that to sign out stands on every page."""
    return csrf_of(browser.get("/").text)


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "2001:db8::1", "audit.example"])  # noqa: S104  on purpose
def test_a_public_address_without_a_token_is_refused(settings: Settings, host: str) -> None:
    """It says which settings are missing, and starts nothing."""
    with pytest.raises(ConfigurationError, match="no token is set") as refused:
        rules(settings, host)
    assert "REPLAY_DASHBOARD_VIEWER_TOKEN" in refused.value.hint


def test_names_of_a_proxy_need_a_token_as_well(tmp_path: Path) -> None:
    """On the loopback, but published: whoever comes through the proxy is not on this machine."""
    published = Settings(data_dir=tmp_path, dashboard_hosts="audit.example")
    with pytest.raises(ConfigurationError, match=r"audit\.example"):
        rules(published, "127.0.0.1")
    with_token = published.model_copy(update={"dashboard_operator_token": rules_token()})
    assert rules(with_token, "127.0.0.1").anonymous is None


def rules_token() -> Any:
    """An operator's token as settings hold it."""
    return Settings(dashboard_operator_token=OPERATOR).dashboard_operator_token


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "fifteen chars and blanks", "é" * 20, "x" * 20 + "\n"])
def test_a_token_that_can_be_guessed_or_typed_wrong_is_refused(tmp_path: Path, token: str) -> None:
    """Too short, with blanks, or with what no header can carry; the message does not repeat it."""
    with pytest.raises(ConfigurationError, match="is no token") as refused:
        rules(Settings(data_dir=tmp_path, dashboard_viewer_token=token), "127.0.0.1")
    assert not token or token not in refused.value.message


def test_two_roles_with_one_token_are_refused(tmp_path: Path) -> None:
    """Every viewer would be an operator."""
    same = Settings(data_dir=tmp_path, dashboard_viewer_token=VIEWER, dashboard_operator_token=VIEWER)
    with pytest.raises(ConfigurationError, match="the same token"):
        rules(same, "127.0.0.1")


def test_operating_without_a_token_is_for_the_loopback_alone(settings: Settings, guarded: Settings) -> None:
    """Not on another address, and not where tokens say who operates."""
    assert rules(settings, "127.0.0.1", operator=True).anonymous is Role.OPERATOR
    assert rules(settings, "127.0.0.1").anonymous is Role.VIEWER
    for given, host in ((guarded, "127.0.0.1"), (guarded, "192.0.2.7")):
        with pytest.raises(ConfigurationError, match="operating without a token"):
            rules(given, host, operator=True)


def test_with_an_operators_token_alone_the_loopback_is_still_read_freely(tmp_path: Path) -> None:
    """On another address it is not."""
    half = Settings(data_dir=tmp_path, dashboard_operator_token=OPERATOR)
    assert rules(half, "127.0.0.1").anonymous is Role.VIEWER
    assert rules(half, "192.0.2.7").anonymous is None


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("localhost.evil.example", False)],
)
def test_what_the_loopback_is(host: str, local: bool) -> None:
    """Names that only begin so are not."""
    assert is_loopback(host) is local


# --- reading ---------------------------------------------------------------------------------------------------------


def test_on_the_loopback_everybody_looks_and_nobody_acts(settings: Settings, recorder: Recorder) -> None:
    """No page has a form that acts, and what is sent all the same is refused."""
    browser = Browser(dashboard(settings, actions=recorder))
    page = browser.get("/review")
    assert page.status_code == 200
    assert 'method="post"' not in page.text
    for form in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
        assert browser.post(CANCEL, {"reason": "x", **form}).status_code == 403
    assert recorder.done == []


def test_with_tokens_nothing_is_shown_before_signing_in(guarded: Settings) -> None:
    """A page leads to the login and back, a program is told 401; only the login, its files and the health are open."""
    browser = Browser(dashboard(guarded))
    page = browser.get("/review?before=7")
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/review%3Fbefore%3D7")
    program = browser.ask("GET", "/review.json", headers={"accept": "application/json"})
    assert (program.status_code, program.headers["www-authenticate"]) == (401, "Bearer")
    stream = browser.ask("GET", "/live?topic=status", headers={"accept": "text/event-stream"})
    assert stream.status_code == 401
    assert browser.get("/login").status_code == 200
    assert browser.get("/healthz").text == "ok"
    assert browser.get("/static/app.css").status_code == 200


def test_what_is_not_there_tells_a_stranger_nothing(guarded: Settings) -> None:
    """An error before signing in has no frame, which would say how things stand."""
    browser = Browser(dashboard(guarded))
    for answer in (browser.get("/static/nothing.css"), browser.ask("POST", "/healthz")):
        assert answer.status_code in {404, 405}
        assert answer.headers["content-type"].startswith("text/plain")
        assert "broker" not in answer.text


def test_a_viewer_sees_and_cannot_act(guarded: Settings, recorder: Recorder) -> None:
    """Also with the right form: the role is looked at for each action."""
    browser = signed_in(dashboard(guarded, actions=recorder), VIEWER)
    page = browser.get("/")
    assert page.status_code == 200
    refused = browser.post(CANCEL, {"csrf": csrf_of(page.text)})
    assert (refused.status_code, "takes an operator" in refused.text) == (403, True)
    assert recorder.done == []


def test_every_action_needs_an_operator(guarded: Settings, recorder: Recorder) -> None:
    """Whatever routes the application has for POST, a viewer is refused at each, but for the way out."""
    app = make_app(
        guarded,
        access=Access.of(guarded, rules(guarded, "127.0.0.1")),
        books=Empty(),
        actions=recorder,
    )
    viewer, operator = signed_in(app, VIEWER), signed_in(app, OPERATOR)
    paths = [
        re.sub(r"\{[^}]*\}", "x", route.path)
        for route in app.routes
        if isinstance(route, Route) and "POST" in (route.methods or ()) and route.path not in {"/login", "/logout"}
    ]
    assert len(paths) >= 9
    form = {"decision": "accept", "note": "x", "letter:y": "on"}
    for path in paths:
        assert viewer.post(path, form | {"csrf": csrf(viewer)}).status_code == 403, path
    assert recorder.done == []
    for path in paths:
        assert operator.post(path, form | {"csrf": csrf(operator)}).status_code == 303, path
    assert len(recorder.done) == len(paths)


class Empty:
    """Books of which nothing is read."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


# --- forms -----------------------------------------------------------------------------------------------------------


def test_an_operator_acts_and_is_named(guarded: Settings, recorder: Recorder) -> None:
    """Role, session and address go with the action; the session's name opens nothing. What came of it is shown once."""
    browser = signed_in(dashboard(guarded, actions=recorder), OPERATOR)
    answer = browser.post(CANCEL, {"csrf": csrf(browser), "back": "/review"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    [(what, target, who)] = recorder.done
    assert (what, target) == ("lane.pause", "local")
    assert re.fullmatch(r"operator@\S+ by the dashboard, session [0-9a-f]{12}, from 127\.0\.0\.1", who)
    [cookie] = browser.cookies.values()
    assert who.split("session ")[1][:12] not in cookie
    assert "lane.pause local" in browser.get("/review").text
    assert "lane.pause local" not in browser.get("/review").text


def test_a_form_without_its_binding_is_refused(guarded: Settings, recorder: Recorder) -> None:
    """Missing, empty, wrong, of another session, or in the address: nothing is done."""
    app = dashboard(guarded, actions=recorder)
    browser, other = signed_in(app, OPERATOR), signed_in(app, OPERATOR)
    foreign = csrf(other)
    assert foreign
    assert foreign != csrf(browser)
    for form in ({}, {"csrf": ""}, {"csrf": "x" * 64}, {"csrf": foreign}, {"csrf": "ü"}):
        refused = browser.post(CANCEL, {"reason": "x", **form})
        assert (refused.status_code, "another session" in refused.text) == (403, True)
    assert browser.post(f"{CANCEL}?csrf={csrf(browser)}", {"reason": "x"}).status_code == 403
    assert recorder.done == []


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site", "origin": "http://evil.example"},
        {"sec_fetch_site": "cross-site", "origin": "http://localhost:8410"},
        {"sec_fetch_site": "same-site", "origin": "http://localhost:3000"},
        {"sec_fetch_site": "", "origin": "http://localhost:3000"},
        {"sec_fetch_site": "", "origin": "http://localhost"},
        {"sec_fetch_site": "", "origin": "http://localhost:8410.evil.example"},
        {"sec_fetch_site": "", "origin": "null"},
        {"sec_fetch_site": "", "origin": "http://[bad"},
        {"sec_fetch_site": "", "origin": "http://localhost:99999999"},
        {"sec_fetch_site": "none", "origin": ""},
        {"sec_fetch_site": "same-origin", "origin": "http://evil.example"},
        {"sec_fetch_site": "", "origin": ""},
    ],
)
def test_a_form_from_elsewhere_is_refused(guarded: Settings, recorder: Recorder, headers: dict[str, str]) -> None:
    """Another site, another port of this machine, or a browser that does not say: with cookie and binding, refused."""
    browser = signed_in(dashboard(guarded, actions=recorder), OPERATOR)
    refused = browser.post(CANCEL, {"csrf": csrf(browser)}, **headers)
    assert (refused.status_code, "not sent from a page" in refused.text) == (403, True)
    assert browser.post("/login", {"token": OPERATOR}, **headers).status_code == 403
    assert recorder.done == []


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "", "origin": "http://localhost:8410"},
        {"sec_fetch_site": "same-origin", "origin": ""},
        {"sec_fetch_site": "same-origin", "origin": "null"},
    ],
)
def test_a_form_of_ours_is_taken_however_much_a_browser_says(
    guarded: Settings, recorder: Recorder, headers: dict[str, str]
) -> None:
    """Old ones send the origin alone; privacy settings make `null` of it where the site is said as well."""
    browser = signed_in(dashboard(guarded, actions=recorder), OPERATOR)
    assert browser.post(CANCEL, {"csrf": csrf(browser)}, **headers).status_code == 303
    assert len(recorder.done) == 1


def test_what_is_no_form_is_refused(guarded: Settings, recorder: Recorder) -> None:
    """Too long, another type, a field that is there twice, bytes that are no fields, another method."""
    browser = signed_in(dashboard(guarded, actions=recorder), OPERATOR)
    bound = csrf(browser)

    def sent(method: str, content: bytes, kind: str = "application/x-www-form-urlencoded") -> int:
        headers = {"sec-fetch-site": "same-origin", "content-type": kind}
        return browser.ask(method, CANCEL, headers=headers, content=content).status_code

    fields = urlencode({"csrf": bound}).encode()
    assert sent("POST", fields + b"&reason=" + b"x" * MAX_FORM_BYTES) == 413
    assert sent("POST", b'{"csrf": "%b"}' % bound.encode(), "application/json") == 415
    assert sent("POST", fields, "text/plain") == 415
    assert sent("POST", fields + b"&csrf=" + bound.encode()) == 400
    assert sent("POST", fields + b"&reason=%ff") == 400
    assert sent("POST", fields + b"&reason=\xff") == 400
    assert sent("POST", b"&".join(b"f%d=" % number for number in range(300))) == 400
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert sent(method, fields) == 405
    assert recorder.done == []


def test_a_form_may_lead_back_to_pages_of_ours_alone(guarded: Settings, recorder: Recorder) -> None:
    """Anything else leads to the front page."""
    browser = signed_in(dashboard(guarded, actions=recorder), OPERATOR)
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"):
        answer = browser.post(CANCEL, {"csrf": csrf(browser), "back": back})
        assert answer.headers["location"] == "/", back


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["http://evil.example:8410", "http://localhost.evil.example", "http://192.0.2.7:8410"])
def test_a_strangers_name_that_leads_here_is_refused(settings: Settings, base: str) -> None:
    """A page of a stranger could else read everything, by pointing its own name to the loopback."""
    refused = Browser(dashboard(settings), base).get("/")
    assert refused.status_code == 421
    assert "REPLAY_DASHBOARD_HOSTS" in refused.text
    assert "evil" not in refused.text


@pytest.mark.parametrize("host", ["", "localhost:8410, evil.example", "evil.example@localhost", "localhost:x", "[::1"])
def test_a_name_that_is_none_is_refused(settings: Settings, host: str) -> None:
    """Whatever somebody might read into it."""
    assert Browser(dashboard(settings)).get("/", host=host).status_code == 421


@pytest.mark.parametrize(
    "base", ["http://localhost:8410", "http://127.0.0.1:9", "http://[::1]:8410", "http://LOCALHOST"]
)
def test_the_names_of_the_loopback_are_known(settings: Settings, base: str) -> None:
    """With any port, in any case."""
    assert Browser(dashboard(settings), base).get("/").status_code == 200


def test_a_proxys_names_are_known_where_they_are_configured(guarded: Settings) -> None:
    """They, and those of the loopback, and no others; bound to a public address without names, any."""
    named = guarded.model_copy(update={"dashboard_hosts": "audit.example, 2001:db8::1"})
    for base, status in (
        ("https://audit.example", 200),
        ("http://[2001:db8::1]:8410", 200),
        ("http://other.example", 421),
    ):
        assert Browser(dashboard(named), base).get("/login").status_code == status, base
    assert Browser(dashboard(guarded, "192.0.2.7"), "http://any.example").get("/login").status_code == 200


@pytest.mark.parametrize("name", ["x_forwarded_for", "forwarded", "x_real_ip"])
def test_who_comes_through_a_proxy_is_not_on_this_machine(settings: Settings, name: str) -> None:
    """Without tokens the loopback is open to this machine; what a proxy hands on is refused, and told why."""
    refused = Browser(dashboard(settings)).get("/", **{name: "192.0.2.7"})
    assert refused.status_code == 403
    assert "REPLAY_DASHBOARD_VIEWER_TOKEN" in refused.text
    operator = Browser(dashboard(settings, operator=True))
    operator.get("/")
    assert operator.cookies
    assert operator.get("/", **{name: "192.0.2.7"}).status_code == 403


# --- sessions --------------------------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_server_alone(guarded: Settings) -> None:
    """No script reads it, no other site sends it; over TLS it goes nowhere else. Each port has its own."""
    plain = Browser(dashboard(guarded)).sign_in(OPERATOR).headers["set-cookie"]
    assert re.fullmatch(r"replay_session_8410=[\w.-]+; Path=/; HttpOnly; SameSite=Strict", plain)
    named = guarded.model_copy(update={"dashboard_hosts": "audit.example"})
    secure = Browser(dashboard(named), "https://audit.example").sign_in(OPERATOR).headers["set-cookie"]
    assert re.fullmatch(r"__Host-replay_session=[\w.-]+; Path=/; HttpOnly; SameSite=Strict; Secure", secure)
    assert OPERATOR not in plain + secure


def test_signing_out_voids_the_cookie_wherever_it_is_kept(guarded: Settings) -> None:
    """The browser forgets it, and a copy opens nothing any more; another session goes on."""
    app = dashboard(guarded)
    browser, other = signed_in(app, VIEWER), signed_in(app, VIEWER)
    copied = dict(browser.cookies)
    left = browser.post("/logout", {"csrf": csrf(browser)})
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert browser.cookies == {}
    browser.cookies = copied
    assert browser.get("/").status_code == 303
    assert other.get("/").status_code == 200


def test_a_cookie_that_this_server_did_not_make_opens_nothing(guarded: Settings) -> None:
    """Changed, made up, of another key, of other tokens, or over."""
    access = Access.of(guarded, rules(guarded, "127.0.0.1"))
    browser = signed_in(dashboard(guarded, access=access), VIEWER)
    [(name, good)] = browser.cookies.items()
    payload, *rest = good.split(".")
    _, of_another_key = Sessions(None, access.rules.fingerprint).open(Role.OPERATOR, signed_in=True)
    _, of_other_tokens = Sessions("k" * 32, "other").open(Role.OPERATOR, signed_in=True)
    bad = [good[:-2], good + "x", ".".join(["e30", *rest]), payload, "", "a.b.c", of_another_key, of_other_tokens]
    for cookie in bad:
        browser.cookies = {name: cookie}
        assert browser.get("/").status_code == 303, cookie
    browser.cookies = {name: good}
    assert browser.get("/").status_code == 200


def test_sessions_end_and_keys_outlive_a_process() -> None:
    """One that is over is none; one made by another process with the same key and tokens is."""
    _, cookie = Sessions("k" * 32, "tokens").open(Role.VIEWER, signed_in=True)
    assert Sessions("k" * 32, "tokens").read(cookie) is not None
    assert Sessions("k" * 32, "tokens", lasts_s=-1).read(cookie) is None
    assert Sessions("k" * 32, "new tokens").read(cookie) is None
    assert Sessions(None, "tokens").read(cookie) is None


def test_who_is_on_this_machine_operates_where_that_is_wanted(settings: Settings, recorder: Recorder) -> None:
    """A page opens a session, to which its forms are bound; a program that brings none can do nothing."""
    run = make_run(make_task(), State.REJECTED)
    record(settings, run)
    app = dashboard(settings, operator=True, actions=recorder)
    browser, other = Browser(app), Browser(app)
    path, form = f"/review/{run.run_id}", {"decision": "reject", "note": "no"}
    assert browser.post(path, form).status_code == 403
    bound = csrf_of(browser.get(path).text)
    assert Browser(app).post(path, form | {"csrf": bound}).status_code == 403
    other.get(path)
    assert other.post(path, form | {"csrf": bound}).status_code == 403
    assert recorder.done == []
    assert browser.act(path, path, form).status_code == 303
    assert [what for what, _, _ in recorder.done] == ["review.reject"]


def test_a_link_on_another_site_leads_to_the_page_all_the_same(guarded: Settings) -> None:
    """A browser withholds the cookie then; from a page of ours, which leads on at once, it sends it."""
    browser = signed_in(dashboard(guarded), VIEWER)
    kept = dict(browser.cookies)
    browser.cookies = {}
    path = "/review?before=3&x=%22%3E%3Cscript%3E"
    met = browser.get(path, sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert met.status_code == 200
    assert 'content="0; url=/review?before=3&amp;x=%22%3E%3Cscript%3E"' in met.text
    odd = browser.get("//evil.example/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert 'url=/"' in odd.text
    browser.cookies = kept
    assert browser.get(path, sec_fetch_site="cross-site", sec_fetch_mode="cors").status_code == 403


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_wrong_token_says_so_and_opens_nothing(guarded: Settings) -> None:
    """No cookie, and not a word about how near it was."""
    browser = Browser(dashboard(guarded))
    for token in (VIEWER[:-1], f"{VIEWER}x", "", "ü", VIEWER.upper()):
        answer = browser.sign_in(token)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert VIEWER not in answer.text


def test_guessing_is_slowed_down_and_told(guarded: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """After five wrong tokens of an address none is looked at, a right one included, until a minute is over."""
    now = [0.0]
    access = Access(rules(guarded, "127.0.0.1"), Sessions(None, ""), Throttle(clock=lambda: now[0]))
    app = dashboard(guarded, access=access)
    guesser, other = Browser(app, address="192.0.2.7"), Browser(app, address="192.0.2.8")
    for number in range(5):
        assert guesser.sign_in(f"wrong-{number}").status_code == 401
    slowed = guesser.sign_in(OPERATOR)
    assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "61")
    assert guesser.get("/", authorization=f"Bearer {OPERATOR}").status_code == 429
    assert other.sign_in(OPERATOR).status_code == 303
    assert caplog.messages == ["a wrong token from 192.0.2.7"] * 5
    now[0] = 60.5
    assert guesser.sign_in(OPERATOR).status_code == 303


def test_a_right_token_does_not_pay_for_wrong_ones(guarded: Settings) -> None:
    """Whoever has the viewer's cannot go on guessing the operator's; bearer tokens count as well."""
    browser = Browser(dashboard(guarded))
    for number in range(5):
        assert browser.get("/", authorization=f"Bearer wrong-{number}", accept="*/*").status_code == 401
        if number < 4:
            assert browser.sign_in(VIEWER).status_code == 303
    assert browser.sign_in(VIEWER).status_code == 429


def test_addresses_are_counted_by_whom_they_belong_to() -> None:
    """An IPv6 user has a whole /64; IPv4 within IPv6 is IPv4. What is forgotten is the least recent."""
    throttle = Throttle(wrong=1, clock=lambda: 0.0)
    throttle.failed("2001:db8::1")
    assert throttle.wait_s("2001:db8::ffff") == 60.0
    assert throttle.wait_s("2001:db8:0:1::1") == 0.0
    throttle.failed("::ffff:192.0.2.1")
    assert throttle.wait_s("192.0.2.1") == 60.0
    for number in range(5000):
        throttle.failed(f"10.0.{number // 256}.{number % 256}")
    assert throttle.wait_s("192.0.2.1") == 0.0
    assert throttle.wait_s("10.0.19.135") == 60.0


def test_a_program_sends_its_token_with_each_request(guarded: Settings, recorder: Recorder) -> None:
    """It reads JSON, and acts without a form's binding, as no browser sends that header by itself."""
    browser = Browser(dashboard(guarded, actions=recorder))

    def act(token: str, **headers: str) -> Any:
        return browser.post(CANCEL, {"reason": "x"}, authorization=f"Bearer {token}", origin="", **headers)

    assert browser.get("/review.json", authorization=f"Bearer {VIEWER}").json()["waiting"] == 0
    assert act(VIEWER, sec_fetch_site="").status_code == 403
    assert act(OPERATOR, sec_fetch_site="cross-site").status_code == 403
    assert recorder.done == []
    done = act(OPERATOR, sec_fetch_site="")
    assert (done.status_code, done.json()) == (200, {"words": "lane.pause local", "ok": True})
    assert "session bearer" in recorder.done[0][2]
    assert "set-cookie" not in done.headers


@pytest.mark.parametrize("scheme", ["Basic", "bearer2", "", "Token"])
def test_another_scheme_is_no_token(guarded: Settings, scheme: str) -> None:
    """It is not even looked at as one."""
    answer = Browser(dashboard(guarded)).get("/", authorization=f"{scheme} {OPERATOR}", accept="*/*")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("given", "leads"),
    [
        ("/review?before=3", "/review?before=3"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("review", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(guarded: Settings, given: str, leads: str) -> None:
    """Whatever stands in the link that led to the login."""
    assert local_path(given) == leads
    answer = Browser(dashboard(guarded)).post("/login", {"token": VIEWER, "next": given})
    assert answer.headers["location"] == leads


# --- what every answer forbids ---------------------------------------------------------------------------------------


def test_every_answer_carries_the_policy(guarded: Settings) -> None:
    """Pages, refusals, redirections, errors, files: no inline script or style, no frame, no guessing of types."""
    browser = Browser(dashboard(guarded))
    answers = [
        browser.get("/"),
        browser.get("/login"),
        browser.get("/healthz"),
        browser.get("/static/app.css"),
        browser.get("/static/none"),
        browser.get("/", host="evil.example"),
        browser.post("/nothing", {"a": "b"}),
        signed_in(browser.app, VIEWER).get("/nothing"),
        signed_in(browser.app, VIEWER).get("/"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] in {"same-origin", "no-referrer"}
        assert answer.headers["cache-control"] in {"no-store", "no-cache"}


def test_no_template_needs_what_the_policy_forbids() -> None:
    """No script or style within a page, no handler in an attribute, nothing marked as safe."""
    inline = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+\s*=|javascript:|\|\s*safe\b|autoescape")
    templates = [*TEMPLATES.rglob("*.html")]
    assert len(templates) > 10
    for template in templates:
        assert not inline.search(template.read_text(encoding="utf-8")), template


def test_a_socket_is_not_opened(settings: Settings) -> None:
    """Nothing here speaks WebSocket: what asks for one is not let through to any page."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}

    async def connect() -> None:
        await dashboard(settings)(scope, receive, send)

    asyncio.run(connect())
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_prometheus_sends_a_viewers_token(guarded: Settings) -> None:
    """Metrics tell as much as pages do: nobody reads them without."""
    browser = Browser(dashboard(guarded))
    assert browser.get("/metrics", accept="text/plain").status_code == 401
    told = browser.get("/metrics", accept="text/plain", authorization=f"Bearer {VIEWER}")
    assert (told.status_code, "replay_broker_up" in told.text) == (200, True)


def test_a_stream_ends_with_its_session(guarded: Settings) -> None:
    """What is open when somebody signs out tells nothing more."""
    access = Access.of(guarded, rules(guarded, "127.0.0.1"))
    session, cookie = access.sessions.open(Role.VIEWER, signed_in=True)
    headers = [(b"host", b"localhost:8410"), (b"cookie", f"replay_session_8410={cookie}".encode())]
    scope = {"type": "http", "scheme": "http", "path": "/live", "query_string": b"", "headers": headers}
    closed: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            access.sessions.close(session)
            yield b"two"
        finally:
            closed.append("the poller is told")

    async def told() -> list[bytes]:
        return [event async for event in while_admitted(events(), HTTPConnection(scope), access)]

    assert asyncio.run(told()) == [b"one"]
    assert closed == ["the poller is told"]


def test_an_address_that_is_none_is_not_repeated() -> None:
    """A proxy may hand on whatever a visitor sent; it would stand in the evidence and in the log."""
    for said, known in (("192.0.2.7", "192.0.2.7"), ("x\nforged entry", "unknown"), ("2001:DB8::1", "2001:db8::1")):
        scope = {"type": "http", "headers": [], "client": (said, 1)}
        assert address_of(HTTPConnection(scope)) == known
    assert address_of(HTTPConnection({"type": "http", "headers": [], "client": None})) == "unknown"
