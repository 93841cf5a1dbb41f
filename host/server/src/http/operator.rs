//! `/v1/operator/session`: an operator signs in to the dashboard with an API key or with a link, and gets a cookie in
//! its place, which no script of a page can read.

use axum::Json;
use axum::extract;
use axum::extract::{Request, State as Held};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::answer::{Fresh, HttpCode, Problem, fresh};
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use crate::operator::{COOKIE, OperatorSession, Operators, SESSION_S, has_cookie};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

/// A page of another origin cannot set it without asking first, and is refused then.
const OPERATOR_HEADER: HeaderName = HeaderName::from_static("x-tidegate-operator");
/// Which page had a browser send a request. <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Longest body of a sign-in, in bytes.
const BODY_BYTES_MAX: usize = 4096;

pub(super) const BEGIN: Operation = Operation {
    method: Verb::Post,
    path: "/v1/operator/session",
    id: "begin_operator_session",
    summary: "Sign in to the dashboard with an API key that may `operate`, or with a link",
    caller: Caller::Anybody,
    parameters: &[],
    body: &[("application/json", "OperatorSignIn")],
    answers: Answers {
        status: 200,
        says: "The session; its cookie is in `Set-Cookie`.",
        contents: &[("application/json", "OperatorSession")],
    },
    refuses: &[
        Reason::Of(Code::Unauthenticated),
        Reason::Of(Code::Forbidden),
        Reason::Of(Code::RateLimited),
        Reason::Http(HttpCode::NotFound),
    ],
};

pub(super) const SHOW: Operation = Operation {
    method: Verb::Get,
    path: "/v1/operator/session",
    id: "operator_session",
    summary: "The operator's session of this cookie",
    caller: Caller::Session,
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "The session.", contents: &[("application/json", "OperatorSession")] },
    refuses: &[],
};

pub(super) const END: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/operator/session",
    id: "end_operator_session",
    summary: "Sign out: end the session of this cookie",
    caller: Caller::Session,
    parameters: &[],
    body: &[],
    answers: Answers { status: 204, says: "It is over, on this node.", contents: &[] },
    refuses: &[],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    key: Option<String>,
    link: Option<String>,
}

type Begun = ([(HeaderName, HeaderValue); 2], Json<Value>);

/// `{ key }` or `{ link }`. A wrong one counts as a failed login of its address.
pub(super) async fn begin(extract::State(state): extract::State<State>, request: Request) -> Result<Begun, Problem> {
    let operators = state.operators.as_deref().ok_or_else(no_dashboard)?;
    let (request, body) = request.into_parts();
    from_own_page(&request.headers)?;
    state.visitors.may_try(&request)?;
    let text = body::read(body, BODY_BYTES_MAX, state.gates.limits()).await?;
    // Once more: many that wrote their heads at once may have failed meanwhile.
    state.visitors.may_try(&request)?;
    let asked = body::fields(&text).and_then(|fields| serde_json::from_value(Value::Object(fields)));
    let session = match asked {
        Ok(SignIn { key: Some(key), link: None }) => operators.sign_in(&key),
        Ok(SignIn { key: None, link: Some(link) }) => operators.follow_link(&link),
        Ok(_) | Err(_) => return Err(Problem::bad_request("expected `{ \"key\": … }` or `{ \"link\": … }`")),
    };
    let Some((value, session)) = session else {
        state.visitors.note_failed(&request);
        let says = "neither an API key that may `operate` nor a link that was not used yet";
        return Err(Refusal::because(Code::Unauthenticated, says).into());
    };
    telemetry::operator_signed_in(&session.key.name);
    let cookie = cookie(&value, SESSION_S, &request)?;
    Ok(([(header::SET_COOKIE, cookie), no_store()], Json(shown(&session))))
}

/// Who is signed in, and until when.
pub(super) async fn show(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Fresh<Value>, Problem> {
    let (_, session) = state.operator_session(&headers)?;
    Ok(fresh(shown(&session)))
}

/// Ends the session and its live data.
pub(super) async fn end(extract::State(state): extract::State<State>, request: Request) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let (operators, session) = state.operator_session(&request.headers)?;
    operators.end(&session);
    if let Some(live) = &state.live {
        live.end_session(&session.id);
    }
    telemetry::operator_signed_out(&session.key.name);
    let headers = [(header::SET_COOKIE, cookie("", 0, &request)?), no_store()];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn shown(session: &OperatorSession<'_>) -> Value {
    json!({ "operator": session.key.name, "ends_at": session.ends_at_unix_s })
}

const fn no_store() -> (HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// A browser that asked over TLS, here or at a proxy, says so in the origin of its page.
fn cookie(value: &str, seconds: u64, request: &Parts) -> Result<HeaderValue, Problem> {
    let origin = request.headers.get(header::ORIGIN);
    let secure = if origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://")) { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}"))
        .map_err(|_| Code::Internal.into())
}

fn no_dashboard() -> Problem {
    Problem::not_found("this server has no dashboard: `dashboard: on` in its configuration gives it one")
}

impl State {
    /// The session of the request's cookie.
    ///
    /// # Errors
    /// 401 if there is none.
    fn operator_session(&self, headers: &HeaderMap) -> Result<(&Operators, OperatorSession<'_>), Problem> {
        let none = || Problem::from(Refusal::because(Code::Unauthenticated, "there is no session: sign in"));
        let operators = self.operators.as_deref().ok_or_else(none)?;
        Ok((operators, operators.session(&cookies(headers)).ok_or_else(none)?))
    }
}

/// The cookies of a request, in one text: HTTP allows several lines, and other cookies of the host may have any bytes.
pub(super) fn cookies(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.collect::<Vec<_>>().join(";")
}

/// Refuses what a page of another origin had a browser send: no cookie of a session counts for it.
///
/// # Errors
/// 403.
fn from_own_page(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    if matches!(site, None | Some(b"same-origin" | b"none")) {
        return Ok(());
    }
    Err(Refusal::because(Code::Forbidden, "a page of another origin sent this").into())
}

/// Goes around every resource that takes the cookie of a session: whoever brings it and no API key must be the
/// dashboard, and must say so where something changes.
pub(super) async fn guard(Held(state): Held<State>, request: Request, next: Next) -> Response {
    let by_cookie = !state.has_key(request.headers()) && has_cookie(&cookies(request.headers()));
    if by_cookie {
        if let Err(problem) = from_own_page(request.headers()) {
            return problem.into_response();
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let says_so = request.headers().get(OPERATOR_HEADER).is_some_and(|value| value == "1");
        if !reads && !says_so {
            let says = "a request that changes something with the cookie of a session needs the header `x-tidegate-operator: 1`";
            return Problem::from(Refusal::because(Code::Forbidden, says)).into_response();
        }
    }
    next.run(request).await
}
