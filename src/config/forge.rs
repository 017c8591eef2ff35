//! `spec.forge`: whose pull requests are answered, and with which token.

use std::path::Path;

use crate::git::Location;
use crate::manifest::cursor::{Cursor, Fields};

use super::application::{Forge, ForgeKind};

/// Decodes the forge of an application. What it does not say follows from where the repository is; a relative
/// `tokenFile` counts from the document's folder.
pub(super) fn decode(spec: &mut Fields<'_>, location: Option<&Location>, folder: &Path) -> Option<Forge> {
    spec.get("forge")?.fields(|fields| forge(fields, location, folder)).flatten()
}

fn forge(fields: &mut Fields<'_>, location: Option<&Location>, folder: &Path) -> Option<Forge> {
    let kind = fields.require("kind").and_then(|field| kind(&field));
    let token_file = fields.require("tokenFile").and_then(|field| Some(folder.join(field.filled()?.value)));
    let (own_url, own_repository) = location.map(address).unwrap_or_default();
    let url = match fields.get("url") {
        Some(field) => url(&field),
        None => own_url.or_else(|| missing(fields, "url")),
    };
    let repository = match fields.get("repository") {
        Some(field) => repository(&field),
        None => own_repository.or_else(|| missing(fields, "repository")),
    };
    Some(Forge { kind: kind?, url: url?, repository: repository?, token_file: token_file? })
}

fn missing<T>(fields: &Fields<'_>, field: &str) -> Option<T> {
    fields.cursor().error("missing-field", format!("lacks `{field}`, which does not follow from `spec.repo`"));
    None
}

fn kind(cursor: &Cursor<'_>) -> Option<ForgeKind> {
    match cursor.filled()?.value.as_str() {
        "github" => Some(ForgeKind::GitHub),
        // Forgejo answers Gitea's calls.
        "gitea" | "forgejo" => Some(ForgeKind::Gitea),
        other => {
            cursor.error("unsupported-value", format!("cannot be `{}`; supported: `github`, `gitea`, `forgejo`", other.escape_debug()));
            None
        }
    }
}

fn url(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.filled()?.value;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', '#'])) {
        true => Some(text.trim_end_matches('/').to_owned()),
        false => {
            cursor.error_with("bad-url", "must be the forge's web address", "write it as in `https://git.example`, without a token");
            None
        }
    }
}

fn repository(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.filled()?.value;
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [owner, name] if part(owner) && part(name) => Some(text),
        _ => {
            cursor.error("bad-repository", format!("must be owner and name, as in `acme/shop`, but is `{}`", text.escape_debug()));
            None
        }
    }
}

/// Returns the web address and the repository that a location names, as far as it does.
fn address(location: &Location) -> (Option<String>, Option<String>) {
    let Location::Url(text) = location else { return (None, None) };
    let (host, path) = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let web = match text.split_once("://") {
        Some((scheme @ ("https" | "http"), _)) => format!("{scheme}://{host}"),
        // The port of ssh is none of the web address.
        _ => format!("https://{}", host.split(':').next().unwrap_or(host)),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (Some(web), Some(path.to_owned()).filter(|path| path.split('/').count() == 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_repository_follow_from_where_the_repository_is() {
        for (location, web, repository) in [
            ("https://git.example/acme/shop.git", "https://git.example", "acme/shop"),
            ("https://git.example:3000/acme/shop", "https://git.example:3000", "acme/shop"),
            ("ssh://git@git.example:2222/Acme/Shop.git", "https://git.example", "Acme/Shop"),
            ("git@git.example:acme/shop.git", "https://git.example", "acme/shop"),
        ] {
            let location = Location::parse(location).expect("a location");
            assert_eq!(address(&location), (Some(web.to_owned()), Some(repository.to_owned())), "{location}");
        }
        assert_eq!(address(&Location::parse("/srv/shop.git").expect("a location")), (None, None));
        assert_eq!(address(&Location::parse("https://git.example/a/b/c").expect("a location")).1, None);
    }
}
