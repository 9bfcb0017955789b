//! Generated passwords.

use ring::rand::{SecureRandom, SystemRandom};

use super::AuthorityError;

/// Without those that people mistake for each other (0 and o, 1 and l).
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Letters in a password: 20 of 32 are 100 bits.
const LENGTH: usize = 20;

/// A password that nobody guesses, in groups of five that can be read aloud: `xxxxx-xxxxx-xxxxx-xxxxx`.
///
/// # Errors
/// Where the system has no random numbers.
pub fn secret() -> Result<String, AuthorityError> {
    let mut bytes = [0; LENGTH];
    fill(&mut bytes)?;
    let mut text = String::with_capacity(LENGTH + 3);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    Ok(text)
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), AuthorityError> {
    SystemRandom::new().fill(bytes).map_err(|_| AuthorityError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_are_of_groups() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
    }
}
