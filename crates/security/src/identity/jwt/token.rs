//! A token in its compact form.
//!
//! In:    text.
//! Out:   its header, its claims, what is signed, the signature.
//! Never: trust: nothing here has been verified.
//! Spec:  RFC 7515 sections 3.1 and 4.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::key::Algorithm;

/// Longest token, in bytes.
const TOKEN_MAXIMUM: usize = 16 * 1024;

/// A token that has not been verified.
#[derive(Debug)]
pub struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    pub(super) claims: Map<String, Value>,
    /// Header and claims as they were sent.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It has not three parts: it is a password, not a token.
    #[error("text has not the three parts of a token")]
    NotAToken,
    /// It is longer than is read.
    #[error("token is longer than {TOKEN_MAXIMUM} bytes")]
    TooLong,
    /// A part is not base64url, or not JSON.
    #[error("a part of the token is not base64url of what it should be")]
    Part,
    /// `none`, or one that is not known.
    #[error("algorithm of the token is not known")]
    Algorithm,
    /// It says that something must be understood that is not.
    #[error("token has a critical extension")]
    Critical,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<Box<str>>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        // Every header begins with `{"`; a password with two dots in it is none.
        if claims.contains('.') || !header.starts_with("ey") {
            return Err(TokenError::NotAToken);
        }
        if text.len() > TOKEN_MAXIMUM {
            return Err(TokenError::TooLong);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Part);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Part)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?;
        let claims = serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Part)?;
        Ok(Self { algorithm, key_id: header.kid, claims, signed, signature: decode(signature)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{claims}.AAAA")
    }

    #[test]
    fn the_parts_of_a_token_are_found() {
        let text = token(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#, r#"{"sub":"amy"}"#);

        let token = Token::parse(&text).unwrap();

        assert_eq!((token.algorithm, token.key_id.as_deref()), (Algorithm::Es256, Some("k1")));
        assert_eq!(token.claims["sub"], "amy");
        assert_eq!(format!("{}.AAAA", token.signed), text);
        assert_eq!(token.signature, [0; 3]);
    }

    #[test]
    fn a_password_is_no_token() {
        for text in ["", "secret", "a.b", "..", "my.pass.word", "eyJ.a.b.c"] {
            assert_eq!(Token::parse(text).unwrap_err(), TokenError::NotAToken, "{text}");
        }
    }

    #[test]
    fn what_is_almost_a_token_is_refused() {
        for (header, claims, error) in [
            (r#"{"alg":"none"}"#, "{}", TokenError::Algorithm),
            (r#"{"alg":"None"}"#, "{}", TokenError::Algorithm),
            (r#"{"alg":""}"#, "{}", TokenError::Algorithm),
            (r#"{"typ":"JWT"}"#, "{}", TokenError::Part),
            (r#"{"alg":"HS256","alg":"none"}"#, "{}", TokenError::Part),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "{}", TokenError::Critical),
            (r#"{"alg":"HS256"}"#, "[]", TokenError::Part),
            (r#"{"alg":"HS256"}"#, "{} ?", TokenError::Part),
        ] {
            assert_eq!(Token::parse(&token(header, claims)).unwrap_err(), error, "{header} {claims}");
        }
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        assert_eq!(Token::parse(&format!("{good}=")).unwrap_err(), TokenError::Part);
        assert_eq!(
            Token::parse(&format!("{good}{}", "A".repeat(TOKEN_MAXIMUM))).unwrap_err(),
            TokenError::TooLong
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(header in "\\PC{0,60}", claims in "\\PC{0,60}", raw in "\\PC{0,60}") {
            let _ = Token::parse(&token(&header, &claims));
            let _ = Token::parse(&raw);
        }
    }
}
