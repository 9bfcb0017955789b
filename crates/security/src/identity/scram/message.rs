//! The messages that a SCRAM client sends.
//!
//! In:    Authentication Data.
//! Out:   their parts, and the very bytes that the signature covers.
//! Never: a message that is only almost of the form.
//! Spec:  RFC 5802 section 7.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest message, in bytes.
const MESSAGE_MAXIMUM: usize = 4096;
/// Length of the proof: SHA-256.
const PROOF: usize = 32;

/// `n,,n=user,r=nonce`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFirst<'a> {
    /// `n,,` or `y,,`, with the identity to act as if one is named.
    pub gs2_header: &'a str,
    /// The identity to act as, unescaped.
    pub act_as: Option<Box<str>>,
    /// The user, unescaped.
    pub username: Box<str>,
    /// The nonce of the client.
    pub nonce: &'a str,
    /// What follows the header; part of what is signed.
    pub bare: &'a str,
}

/// `c=biws,r=nonce,p=proof`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFinal<'a> {
    /// The header of the first message again, decoded.
    pub channel_binding: Box<[u8]>,
    /// Both nonces.
    pub nonce: &'a str,
    /// The ClientProof.
    pub proof: [u8; PROOF],
    /// All but the proof; part of what is signed.
    pub without_proof: &'a str,
}

/// Why bytes are no message of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Longer than 4 KiB, not UTF-8, or with a control character.
    #[error("message is too long or not text")]
    Text,
    /// The client insists on channel binding.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// An extension that must be understood.
    #[error("mandatory extension is not known")]
    Extension,
    /// A part is missing or not of its form.
    #[error("'{attribute}' is missing or not of its form")]
    Attribute {
        /// Which.
        attribute: char,
    },
}

impl<'a> ClientFirst<'a> {
    /// Reads a client-first-message.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn parse(data: &'a [u8]) -> Result<Self, MessageError> {
        let text = text(data)?;
        let (flag, rest) = text.split_once(',').ok_or(MessageError::Attribute { attribute: 'n' })?;
        if flag.starts_with("p=") {
            return Err(MessageError::ChannelBinding);
        }
        if flag != "n" && flag != "y" {
            return Err(MessageError::Attribute { attribute: 'n' });
        }
        let (act_as, bare) = rest.split_once(',').ok_or(MessageError::Attribute { attribute: 'a' })?;
        let gs2_header = &text[..text.len() - bare.len()];
        let act_as = match act_as {
            "" => None,
            act_as => Some(name('a', act_as)?),
        };
        if bare.starts_with("m=") {
            return Err(MessageError::Extension);
        }
        let mut parts = bare.split(',');
        let username = name('n', parts.next().unwrap_or_default())?;
        let nonce = nonce(parts.next().unwrap_or_default())?;
        extensions(parts)?;
        Ok(Self { gs2_header, act_as, username, nonce, bare })
    }
}

impl<'a> ClientFinal<'a> {
    /// Reads a client-final-message.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn parse(data: &'a [u8]) -> Result<Self, MessageError> {
        let text = text(data)?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or(MessageError::Attribute { attribute: 'p' })?;
        let proof = STANDARD.decode(proof).ok().and_then(|proof| proof.try_into().ok());
        let proof = proof.ok_or(MessageError::Attribute { attribute: 'p' })?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c="));
        let channel_binding = binding.and_then(|binding| STANDARD.decode(binding).ok());
        let channel_binding = channel_binding.ok_or(MessageError::Attribute { attribute: 'c' })?.into();
        let nonce = nonce(parts.next().unwrap_or_default())?;
        extensions(parts)?;
        Ok(Self { channel_binding, nonce, proof, without_proof })
    }
}

fn text(data: &[u8]) -> Result<&str, MessageError> {
    if data.len() > MESSAGE_MAXIMUM {
        return Err(MessageError::Text);
    }
    let text = std::str::from_utf8(data).map_err(|_| MessageError::Text)?;
    if text.contains(char::is_control) { Err(MessageError::Text) } else { Ok(text) }
}

/// A saslname: `=2C` is a comma, `=3D` an equals sign, and neither stands for itself.
fn name(attribute: char, part: &str) -> Result<Box<str>, MessageError> {
    let error = MessageError::Attribute { attribute };
    let escaped = part.strip_prefix(attribute).and_then(|part| part.strip_prefix('=')).ok_or(error)?;
    let mut name = String::with_capacity(escaped.len());
    let mut pieces = escaped.split('=');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (meant, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(error),
        };
        name.push(meant);
        name.push_str(rest);
    }
    if name.is_empty() { Err(error) } else { Ok(name.into()) }
}

/// Printable ASCII without a comma.
fn nonce(part: &str) -> Result<&str, MessageError> {
    let nonce = part.strip_prefix("r=").filter(|nonce| !nonce.is_empty());
    nonce
        .filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(MessageError::Attribute { attribute: 'r' })
}

/// Optional ones are ignored.
fn extensions<'a>(parts: impl Iterator<Item = &'a str>) -> Result<(), MessageError> {
    for part in parts {
        let mut chars = part.chars();
        match (chars.next(), chars.next()) {
            (Some('m'), _) => return Err(MessageError::Extension),
            (Some(letter), Some('=')) if letter.is_ascii_alphabetic() => {}
            (letter, _) => return Err(MessageError::Attribute { attribute: letter.unwrap_or(',') }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_message_of_rfc_7677_is_read() {
        let message = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();

        assert_eq!(
            message,
            ClientFirst {
                gs2_header: "n,,",
                act_as: None,
                username: "user".into(),
                nonce: "rOprNGfwEbeRWgbNEkqO",
                bare: "n=user,r=rOprNGfwEbeRWgbNEkqO",
            }
        );
    }

    #[test]
    fn commas_and_equals_signs_of_a_name_are_escaped() {
        let message = ClientFirst::parse(b"y,a=x=3D,n=a=2Cb=3Dc,r=x,e=1").unwrap();
        assert_eq!((message.act_as.as_deref(), &*message.username), (Some("x="), "a,b=c"));
        assert_eq!(message.gs2_header, "y,a=x=3D,");
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        let attribute = |attribute| MessageError::Attribute { attribute };
        let bad: [(&[u8], MessageError); 13] = [
            (b"n,a=x=,n=a,r=b", attribute('a')),
            (b"", attribute('n')),
            (b"n", attribute('n')),
            (b"x,,n=a,r=b", attribute('n')),
            (b"n,n=a", attribute('a')),
            (b"n,,n=,r=b", attribute('n')),
            (b"n,,n=a=2c,r=b", attribute('n')),
            (b"n,,n=a", attribute('r')),
            (b"n,,n=a,r=\xc3\xa4", attribute('r')),
            (b"n,,n=a\0,r=b", MessageError::Text),
            (b"n,,n=\xff,r=b", MessageError::Text),
            (b"n,,m=x,n=a,r=b", MessageError::Extension),
            (b"p=tls-exporter,,n=a,r=b", MessageError::ChannelBinding),
        ];
        for (data, error) in bad {
            assert_eq!(ClientFirst::parse(data), Err(error), "{}", String::from_utf8_lossy(data));
        }
        assert_eq!(ClientFirst::parse(&[b'a'; MESSAGE_MAXIMUM + 1]), Err(MessageError::Text));
    }

    #[test]
    fn what_is_no_final_message_is_refused() {
        let attribute = |attribute| MessageError::Attribute { attribute };
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let bad = [
            (String::new(), attribute('p')),
            ("c=biws,r=x,p=AAAA".to_owned(), attribute('p')),
            (format!("r=x,p={proof}"), attribute('c')),
            (format!("c=bi,ws,r=x,p={proof}"), attribute('c')),
            (format!("c=biws,p={proof}"), attribute('r')),
            (format!("c=biws,r=x,m=y,p={proof}"), MessageError::Extension),
            (format!("c=biws,r=x,,p={proof}"), attribute(',')),
        ];
        for (data, error) in bad {
            assert_eq!(ClientFinal::parse(data.as_bytes()), Err(error), "{data}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientFirst::parse(&data);
            let _ = ClientFinal::parse(&data);
        }

        #[test]
        fn any_name_survives_its_escaping(username in "[^\\p{Cc}]{1,30}") {
            let message = format!("n,,n={},r=x", username.replace('=', "=3D").replace(',', "=2C"));
            prop_assert_eq!(&*ClientFirst::parse(message.as_bytes()).unwrap().username, username.as_str());
        }

        #[test]
        fn what_is_read_covers_the_whole_message(data in "[nypacrm=,xA-Z+2C3D]{0,60}") {
            if let Ok(first) = ClientFirst::parse(data.as_bytes()) {
                prop_assert_eq!(format!("{}{}", first.gs2_header, first.bare), data);
            }
        }
    }
}
