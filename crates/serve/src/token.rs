//! The token that requests must bring.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln_files::sha256_hex;

use crate::refusal::Refusal;

/// The token that requests must bring: as a bearer's, or as the password of any user, which browsers ask people for. Of it, only
/// a hash is kept.
#[derive(Clone)]
pub struct Token {
    sha256: String,
}

impl Token {
    /// The token that `token` is.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { sha256: sha256_hex(token.as_bytes()) }
    }

    /// That `headers` bring it.
    ///
    /// # Errors
    /// 401 where they do not.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let expected = "header Authorization: expected `Bearer` and the token of this server";
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(Refusal::unauthorized(&format!("{expected}, found none")));
        };
        match brought(value.as_bytes()).map(|token| sha256_hex(&token)) {
            Some(found) if are_equal(found.as_bytes(), self.sha256.as_bytes()) => Ok(()),
            _ => Err(Refusal::unauthorized(&format!("{expected}, found another"))),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The token in the header's value.
fn brought(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let at = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some(rest.into());
    }
    let is_basic = scheme.eq_ignore_ascii_case(b"Basic");
    let pair = is_basic.then(|| STANDARD.decode(rest).ok())??;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair[colon + 1..].to_vec().into())
}

/// Whether two hashes are equal, in a time that says nothing of where they differ.
fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |differing, (left, right)| differing | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_in_full() {
        let token = Token::new("secret");
        let check = |value: &str| {
            token.check(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])).is_ok()
        };
        assert!(check("Bearer secret") && check("bearer  secret "));
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(check(&basic(":secret")) && check(&basic("anybody:secret")));
        assert!(["secret", "secret:", "secret:other", "a:b:secret"].iter().all(|pair| !check(&basic(pair))));
        for wrong in ["Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret", ""] {
            assert!(!check(wrong), "{wrong}");
        }
        let none = token.check(&HeaderMap::new()).unwrap_err();
        assert_eq!((none.status.as_u16(), none.message.ends_with("found none")), (401, true));
    }
}
