//! Mosquitto's password file: a line `NAME:HASH` for each user. Our file of users takes such lines as they are.

use std::collections::BTreeMap;

use super::Remark;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Names and hashes, in the order of the file.
    pub(super) users: Vec<(String, String)>,
    pub(super) remarks: Vec<Remark>,
}

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Never the hash in a message: it is a secret.
        let Some((name, hash)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            read.remarks.push(Remark::new(number, "no NAME:HASH; the user is left out"));
            continue;
        };
        if let Some(first) = known.get(name) {
            let text = format!("user {name} is at line {first} already; this one is left out");
            read.remarks.push(Remark::new(number, text));
            continue;
        }
        match kind(hash) {
            Ok(None) => {}
            Ok(Some(remark)) => read.remarks.push(Remark::new(number, format!("user {name}: {remark}"))),
            Err(fault) => {
                read.remarks.push(Remark::new(number, format!("user {name}: {fault}; the user is left out")));
                continue;
            }
        }
        known.insert(name.to_owned(), number);
        read.users.push((name.to_owned(), hash.to_owned()));
    }
    read
}

/// What is to be said about a hash, or why it is none.
fn kind(hash: &str) -> Result<Option<&'static str>, &'static str> {
    let parts = hash.split('$').count();
    if hash.starts_with("$argon2id$") || (hash.starts_with("$7$") && parts == 5) {
        Ok(None)
    } else if hash.starts_with("$6$") && parts == 4 {
        Ok(Some("its hash is one round of SHA-512, which is fast to guess; set the password anew"))
    } else if hash.starts_with('$') {
        Err("its hash is none of $6$, $7$, $argon2id$")
    } else {
        Err("its password is not hashed (mosquitto_passwd -U hashes it)")
    }
}

impl Read {
    pub(super) fn to_text(&self) -> String {
        let lines = self.users.iter().map(|(name, hash)| format!("{name}:{hash}\n"));
        format!("# name:hash\n{}", lines.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_users_carry_over_as_they_are() {
        let read =
            read("# all\nanna:$7$101$c2FsdA==$aGFzaA==\n\nben:$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA\n");

        assert_eq!(read.remarks, []);
        assert_eq!(
            read.to_text(),
            "# name:hash\nanna:$7$101$c2FsdA==$aGFzaA==\nben:$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA\n"
        );
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_named_without_its_secret() {
        let read = read("anna:secret\nben\ncid:$5$x$y\neve:$6$a$b\neve:$6$c$d\n:x\ndan:$7$short\n");

        assert_eq!(read.users, [("eve".to_owned(), "$6$a$b".to_owned())]);
        assert_eq!(read.remarks.iter().map(|remark| remark.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert!(
            read.remarks.iter().all(|remark| !remark.text.contains("secret") && !remark.text.contains("$y"))
        );
    }
}
