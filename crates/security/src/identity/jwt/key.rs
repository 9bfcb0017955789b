//! Keys that tokens are verified with.
//!
//! In:    a JSON Web Key Set, a public key in PEM, or a shared secret.
//! Out:   whether a signature is by one of them.
//! Never: a public key used as a shared secret, or any key with an algorithm of another family.
//! Spec:  RFC 7517, RFC 7518 section 6, RFC 8037.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::Value;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::identity::secret::Secret;

/// The most keys of a set that are kept: what a token without a key identifier is tried with.
const KEYS_MAXIMUM: usize = 32;
/// Shortest shared secret, in bytes [RFC 7518 section 3.2].
const SECRET_MINIMUM: usize = 32;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 7518 section 3.1 and RFC 8037")]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of that name in a header.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// Keys of one issuer.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<Box<str>>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Shared(Secret),
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
    },
    /// The uncompressed point.
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no key set.
    #[error("text is no JSON Web Key Set")]
    Form,
    /// No key of it can verify a signature.
    #[error("no key can be used to verify tokens")]
    None,
    /// A set that everybody can read holds a shared secret.
    #[error("a published key set holds a shared secret")]
    PublishedSecret,
    /// A secret that can be guessed.
    #[error("shared secret of {bytes} bytes, shortest is {SECRET_MINIMUM}")]
    WeakSecret {
        /// Bytes that it has.
        bytes: usize,
    },
    /// It is no public key in PEM of a kind that is known.
    #[error("text is no RSA, P-256, P-384 or Ed25519 public key in PEM")]
    Pem,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<Box<str>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are not for verifying, or of a kind that is not known, are left out.
    ///
    /// # Errors
    /// It is none, holds no key of use, or was `published` and holds a shared secret.
    pub fn from_jwks(json: &[u8], published: bool) -> Result<Self, KeyError> {
        let jwks: Jwks = serde_json::from_slice(json).map_err(|_| KeyError::Form)?;
        let mut keys = Vec::new();
        for value in jwks.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            if published && jwk.kty == "oct" {
                return Err(KeyError::PublishedSecret);
            }
            if let Some(key) = Key::from_jwk(&jwk)?
                && keys.len() < KEYS_MAXIMUM
            {
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self { keys }) }
    }

    /// One public key, as `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// It is none of a kind that is known.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let pem = Pem::iter_from_buffer(pem)
            .flatten()
            .find(|pem| pem.label == "PUBLIC KEY")
            .ok_or(KeyError::Pem)?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&pem.contents).map_err(|_| KeyError::Pem)?;
        let bits = &*info.subject_public_key.data;
        let material = match info.parsed().map_err(|_| KeyError::Pem)? {
            PublicKey::RSA(key) => {
                Material::Rsa { n: without_zeros(key.modulus), e: without_zeros(key.exponent) }
            }
            PublicKey::EC(_) if bits.len() == 65 => Material::P256(bits.into()),
            PublicKey::EC(_) if bits.len() == 97 => Material::P384(bits.into()),
            // id-Ed25519 of RFC 8410.
            PublicKey::Unknown(_) if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
                Material::Ed25519(bits.into())
            }
            _ => return Err(KeyError::Pem),
        };
        Ok(Self { keys: vec![Key { id: None, algorithm: None, material }] })
    }

    /// A secret shared with the issuer.
    ///
    /// # Errors
    /// It is shorter than 32 bytes.
    pub fn from_secret(secret: Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose().len();
        if bytes < SECRET_MINIMUM {
            return Err(KeyError::WeakSecret { bytes });
        }
        Ok(Self { keys: vec![Key { id: None, algorithm: None, material: Material::Shared(secret) }] })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: there is no empty set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether there is a key of that identifier, or one that has none.
    pub(super) fn may_know(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.answers_to(id))
    }

    /// Whether the signature is by a key of that identifier, or by any where none is named.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        self.keys.iter().filter(|key| key.answers_to(id)).any(|key| key.verify(algorithm, signed, signature))
    }
}

impl Key {
    fn from_jwk(jwk: &Jwk) -> Result<Option<Self>, KeyError> {
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig")
            || !jwk.key_ops.as_ref().is_none_or(verifies)
        {
            return Ok(None);
        }
        let algorithm = match &jwk.alg {
            None => None,
            Some(name) => match Algorithm::named(name) {
                None => return Ok(None),
                known => known,
            },
        };
        let Some(material) = Material::from_jwk(jwk) else { return Ok(None) };
        if let Material::Shared(secret) = &material
            && secret.expose().len() < SECRET_MINIMUM
        {
            return Err(KeyError::WeakSecret { bytes: secret.expose().len() });
        }
        Ok(Some(Self { id: jwk.kid.clone(), algorithm, material }))
    }

    fn answers_to(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => **own == *id,
            _ => true,
        }
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm)
            && self.material.verify(algorithm, signed, signature)
    }
}

impl Material {
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = |bytes: usize| {
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            let fits = x.len() == bytes && y.len() == bytes;
            fits.then(|| [&[4], x.as_slice(), y.as_slice()].concat().into_boxed_slice())
        };
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("oct", _) => decode(&jwk.k).map(|secret| Self::Shared(Secret::new(secret))),
            ("RSA", _) => {
                Some(Self::Rsa { n: without_zeros(&decode(&jwk.n)?), e: without_zeros(&decode(&jwk.e)?) })
            }
            ("EC", Some("P-256")) => point(32).map(Self::P256),
            ("EC", Some("P-384")) => point(48).map(Self::P384),
            ("OKP", Some("Ed25519")) => {
                decode(&jwk.x).filter(|x| x.len() == 32).map(|x| Self::Ed25519(x.into()))
            }
            _ => None,
        }
    }

    /// The pairs of key and algorithm that belong together; no other verifies.
    fn verify(&self, algorithm: Algorithm, signed: &[u8], by: &[u8]) -> bool {
        let shared = |algorithm, secret: &Secret| {
            hmac::verify(&hmac::Key::new(algorithm, secret.expose()), signed, by).is_ok()
        };
        let rsa = |parameters, n, e| {
            signature::RsaPublicKeyComponents { n, e }.verify(parameters, signed, by).is_ok()
        };
        let curve = |algorithm: &'static dyn signature::VerificationAlgorithm, key| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(signed, by).is_ok()
        };
        match (self, algorithm) {
            (Self::Shared(secret), Algorithm::Hs256) => shared(hmac::HMAC_SHA256, secret),
            (Self::Shared(secret), Algorithm::Hs384) => shared(hmac::HMAC_SHA384, secret),
            (Self::Shared(secret), Algorithm::Hs512) => shared(hmac::HMAC_SHA512, secret),
            (Self::Rsa { n, e }, Algorithm::Rs256) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e),
            (Self::Rsa { n, e }, Algorithm::Rs384) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, n, e),
            (Self::Rsa { n, e }, Algorithm::Rs512) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, n, e),
            (Self::Rsa { n, e }, Algorithm::Ps256) => rsa(&signature::RSA_PSS_2048_8192_SHA256, n, e),
            (Self::Rsa { n, e }, Algorithm::Ps384) => rsa(&signature::RSA_PSS_2048_8192_SHA384, n, e),
            (Self::Rsa { n, e }, Algorithm::Ps512) => rsa(&signature::RSA_PSS_2048_8192_SHA512, n, e),
            (Self::P256(point), Algorithm::Es256) => curve(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), Algorithm::Es384) => curve(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(key), Algorithm::EdDsa) => curve(&signature::ED25519, key),
            _ => false,
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "shared secret",
            Self::Rsa { .. } => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

fn without_zeros(number: &[u8]) -> Box<[u8]> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// RFC 7515 appendix A.1.
    const HS256: (&str, &str, &str) = (
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
    /// RFC 7515 appendix A.3.
    const ES256: (&str, &str, &str, &str) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );

    fn set(keys: &Value) -> KeySet {
        KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), false).unwrap()
    }

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7515_verify() {
        let (k, signed, by) = HS256;
        let keys = set(&json!([{"kty": "oct", "k": k}]));
        assert!(keys.verify(Algorithm::Hs256, None, signed.as_bytes(), &bytes(by)));
        assert!(!keys.verify(Algorithm::Hs512, None, signed.as_bytes(), &bytes(by)));

        let (x, y, signed, by) = ES256;
        let keys = set(&json!([{"kty": "EC", "crv": "P-256", "x": x, "y": y}]));
        assert!(keys.verify(Algorithm::Es256, None, signed.as_bytes(), &bytes(by)));
        let mut wrong = bytes(by);
        wrong[0] ^= 1;
        assert!(!keys.verify(Algorithm::Es256, None, signed.as_bytes(), &wrong));
    }

    /// RFC 8725 section 2.1: a public key taken for a shared secret lets everybody sign.
    #[test]
    fn a_public_key_is_never_a_shared_secret() {
        let (x, y, signed, _) = ES256;
        let keys = set(&json!([{"kty": "EC", "crv": "P-256", "x": x, "y": y}]));
        let point = [&[4], bytes(x).as_slice(), bytes(y).as_slice()].concat();

        for secret in [point, bytes(x)] {
            let forged = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            assert!(!keys.verify(Algorithm::Hs256, None, signed.as_bytes(), forged.as_ref()));
        }
    }

    #[test]
    fn a_key_is_for_its_identifier_use_and_algorithm() {
        let (k, signed, by) = HS256;
        let verifies = |key: Value, id| {
            let json =
                json!({"keys": [key, {"kty": "oct", "kid": "other", "k": "A".repeat(64)}]}).to_string();
            let keys = KeySet::from_jwks(json.as_bytes(), false).unwrap();
            keys.verify(Algorithm::Hs256, id, signed.as_bytes(), &bytes(by))
        };

        assert!(verifies(json!({"kty": "oct", "k": k, "kid": "a", "alg": "HS256", "use": "sig"}), Some("a")));
        assert!(verifies(json!({"kty": "oct", "k": k, "key_ops": ["verify"]}), Some("a")));
        assert!(verifies(json!({"kty": "oct", "k": k, "kid": "a"}), None));
        assert!(!verifies(json!({"kty": "oct", "k": k, "kid": "a"}), Some("b")));
        assert!(!verifies(json!({"kty": "oct", "k": k, "alg": "HS512"}), None));
        assert!(!verifies(json!({"kty": "oct", "k": k, "alg": "A128KW"}), None));
        assert!(!verifies(json!({"kty": "oct", "k": k, "use": "enc"}), None));
        assert!(!verifies(json!({"kty": "oct", "k": k, "key_ops": ["encrypt"]}), None));
    }

    #[test]
    fn sets_of_no_use_are_refused() {
        let read =
            |json: Value, published| KeySet::from_jwks(json.to_string().as_bytes(), published).map(|_| ());
        let secret = json!({"keys": [{"kty": "oct", "k": HS256.0}]});

        assert_eq!(read(json!({}), false), Err(KeyError::Form));
        assert_eq!(read(json!({"keys": []}), false), Err(KeyError::None));
        assert_eq!(
            read(json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}), false),
            Err(KeyError::None)
        );
        assert_eq!(read(secret, true), Err(KeyError::PublishedSecret));
        let weak = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]});
        assert_eq!(read(weak, false), Err(KeyError::WeakSecret { bytes: 6 }));
        assert_eq!(
            KeySet::from_secret(Secret::new(*b"secret")).unwrap_err(),
            KeyError::WeakSecret { bytes: 6 }
        );
        assert_eq!(KeySet::from_pem(b"secret").unwrap_err(), KeyError::Pem);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", KeySet::from_secret(Secret::new([b'x'; 32])).unwrap());

        assert!(
            shown.contains("shared secret") && !shown.contains("120") && !shown.contains("xx"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,40}") {
            let _ = KeySet::from_jwks(&bytes, false);
            let _ = KeySet::from_pem(&bytes);
            let jwk = json!({"keys": [{"kty": "RSA", "n": text, "e": text, "kid": text}]});
            if let Ok(keys) = KeySet::from_jwks(jwk.to_string().as_bytes(), true) {
                prop_assert!(!keys.verify(Algorithm::Rs256, None, b"", &bytes));
            }
        }
    }
}
