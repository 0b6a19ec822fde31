//! The bearer token that requests must bring.

use axum::http::{HeaderMap, header};
use kiln_files::sha256_hex;

use crate::refusal::Refusal;

/// The bearer token that requests must bring. Of it, only a hash is kept.
#[derive(Debug)]
pub(crate) struct Token {
    sha256: String,
}

impl Token {
    pub(crate) fn new(token: &str) -> Self {
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
        let found = value.as_bytes().split_at_checked(7);
        let found = found.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
        let found = found.map(|(_, token)| sha256_hex(token.trim_ascii()));
        match found {
            Some(found) if are_equal(found.as_bytes(), self.sha256.as_bytes()) => Ok(()),
            _ => Err(Refusal::unauthorized(&format!("{expected}, found another"))),
        }
    }
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
        for wrong in ["Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret", ""] {
            assert!(!check(wrong), "{wrong}");
        }
        let none = token.check(&HeaderMap::new()).unwrap_err();
        assert_eq!((none.status.as_u16(), none.message.ends_with("found none")), (401, true));
    }
}
