//! Who may read page and API.
//!
//! With a token: who shows it, as bearer or as the password of a browser's own dialog. Without one: this
//! host alone, and only by a name of this host, because a web page elsewhere can make a browser ask a
//! loopback address under the page's own name, and a proxy makes everybody look like this host.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Shared;
use super::connection::Peer;
use super::secret::Secret;

/// Lets those pass who may read.
pub(super) async fn check(State(shared): State<Shared>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    match &shared.api_token {
        Some(token) if shows(request.headers(), token) => next.run(request).await,
        Some(_) => {
            let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="driftless", charset="UTF-8""#)];
            (StatusCode::UNAUTHORIZED, challenge, "The token is needed: as bearer, or as the password of any user.\n").into_response()
        }
        None if peer.0.ip().to_canonical().is_loopback() && is_direct(request.headers()) => next.run(request).await,
        None => {
            let reason = "Without a token only this host may read this: start the agent with --api-token-file.\n";
            (StatusCode::FORBIDDEN, reason).into_response()
        }
    }
}

fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let Some(text) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some((scheme, rest)) = text.split_once(' ') else { return false };
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => token.is(rest.trim().as_bytes()),
        // RFC 7617: the password is all behind the first colon.
        "basic" => STANDARD.decode(rest.trim()).is_ok_and(|pair| {
            let colon = pair.iter().position(|byte| *byte == b':');
            colon.is_some_and(|colon| token.is(&pair[colon + 1..]))
        }),
        _ => false,
    }
}

/// Tells whether nobody stands between, and whether this host is asked by a name of its own.
fn is_direct(headers: &HeaderMap) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    !proxied && is_own_name(host)
}

fn is_own_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_host_is_a_loopback_name() {
        for (host, own) in [
            ("localhost", true),
            ("LOCALHOST:8765", true),
            ("127.0.0.1:8765", true),
            ("127.9.9.9", true),
            ("[::1]:8765", true),
            ("evil.example:8765", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_own_name(host), own, "{host}");
        }
    }
}
