//! The file of users: a line each, in Mosquitto's form and a little more.
//!
//! ```text
//! # name:hash[:scram[:groups]]
//! alice:$argon2id$v=19$m=19456,t=2,p=1$...:$scram-sha-256$i=10000$...:operators,night-shift
//! bob:$7$101$...
//! ```
//!
//! In:    text; changes to one user.
//! Out:   users by name; the file, replaced at once and readable by its owner alone.
//! Never: half a file: a line that cannot be read refuses all of it and is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::digest;

use crate::identity::scram::{Verifier, VerifierError};
use crate::identity::secret::{NoRandomness, Secret};

use super::hash::{HashError, PasswordHash};

/// Longest file that is read, in bytes: some 300,000 users.
const FILE_MAXIMUM: u64 = 64 * 1024 * 1024;
/// Longest name, in bytes. MQTT would allow 65,535.
const NAME_MAXIMUM: usize = 1024;

const HEAD: &str = "# name:hash[:scram[:groups]]. Written by Dunlin; comments are not kept.\n";

/// A user of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The hash of the password; `None`: the user cannot log in by CONNECT's password.
    pub password: Option<PasswordHash>,
    /// What SCRAM-SHA-256 verifies with; `None`: the user cannot log in by SCRAM.
    pub scram: Option<Verifier>,
    /// The groups that the user belongs to; in order, each once.
    pub groups: Vec<Box<str>>,
}

/// The users, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFile {
    users: BTreeMap<Box<str>, User>,
}

/// What is wrong with a file of users, or with a change to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserFileError {
    /// It cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is longer than is read.
    #[error("file of {bytes} bytes, longest is {FILE_MAXIMUM}")]
    TooLong {
        /// Bytes it has.
        bytes: u64,
    },
    /// It is not UTF-8.
    #[error("file is not UTF-8")]
    Utf8,
    /// A line without a colon, with too many, or with a field that is none.
    #[error("line {line}: not name:hash, name:hash:scram or name:hash:scram:groups")]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// A hash that cannot be read.
    #[error("line {line}: {source}")]
    Hash {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: HashError,
    },
    /// SCRAM credentials that cannot be read.
    #[error("line {line}: {source}")]
    Scram {
        /// Counted from 1.
        line: usize,
        /// What is wrong with them.
        source: VerifierError,
    },
    /// A second line of the same name.
    #[error("line {line}: the name has a line already")]
    Twice {
        /// Counted from 1.
        line: usize,
    },
    /// A name that no line can hold.
    #[error("name is empty, too long, begins with '#', or holds ':' or a control character")]
    Name,
    /// A group that no line can hold.
    #[error("group is empty, or holds ':', ',' or a control character")]
    Group,
    /// No such user.
    #[error("no user {name}")]
    NoUser {
        /// The name.
        name: Box<str>,
    },
    /// The user is there already.
    #[error("user {name} exists")]
    Exists {
        /// The name.
        name: Box<str>,
    },
    /// An empty password.
    #[error("password is empty")]
    EmptyPassword,
    /// See [`NoRandomness`].
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl User {
    /// Another number where the credentials are others. It tells nothing of them.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in self.password.iter().flat_map(PasswordHash::parts) {
            context.update(part);
        }
        context.update(b":");
        for part in self.scram.iter().flat_map(Verifier::parts) {
            context.update(part);
        }
        let mut stamp = [0; 8];
        stamp.copy_from_slice(&context.finish().as_ref()[..8]);
        u64::from_le_bytes(stamp)
    }
}

impl UserFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, UserFileError> {
        let mut users = BTreeMap::new();
        for (at, text) in text.lines().enumerate() {
            let line = at + 1;
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, user) = parse_line(line, text)?;
            if users.insert(name, user).is_some() {
                return Err(UserFileError::Twice { line });
            }
        }
        Ok(Self { users })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or holds what is no user.
    pub fn load(path: &Path) -> Result<Self, UserFileError> {
        let io = |source| UserFileError::Io { path: path.to_path_buf(), source };
        let bytes = fs::metadata(path).map_err(io)?.len();
        if bytes > FILE_MAXIMUM {
            return Err(UserFileError::TooLong { bytes });
        }
        let text = zeroize::Zeroizing::new(fs::read(path).map_err(io)?);
        Self::parse(std::str::from_utf8(&text).map_err(|_| UserFileError::Utf8)?)
    }

    /// The user of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All users, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (&**name, user))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The text that [`UserFile::parse`] reads. For the file alone: it lets passwords be guessed.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut text = String::from(HEAD);
        for (name, user) in &self.users {
            let mut fields = vec![
                name.to_string(),
                user.password.as_ref().map(PasswordHash::expose).unwrap_or_default(),
                user.scram.as_ref().map(Verifier::expose).unwrap_or_default(),
                user.groups.join(","),
            ];
            // A Mosquitto that is to read the file knows two fields.
            while fields.len() > 2 && fields.last().is_some_and(String::is_empty) {
                fields.pop();
            }
            text.push_str(&fields.join(":"));
            text.push('\n');
        }
        text
    }

    /// Replaces the file at once: a reader sees the old one or the new one, also after a power cut.
    fn save(&self, path: &Path) -> Result<(), UserFileError> {
        let io = |source| UserFileError::Io { path: path.to_path_buf(), source };
        let new = beside(path, ".new");
        let text = zeroize::Zeroizing::new(self.expose());
        let written = (|| {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            )?
            .sync_all()
        })();
        written.map_err(io)
    }
}

/// Adds a user. With `scram`, the user can also log in by SCRAM-SHA-256. The file is made if there is none.
///
/// # Errors
/// The user exists; the name or password cannot be taken; the file cannot be read or written.
pub fn add(path: &Path, name: &str, password: &Secret, scram: bool) -> Result<(), UserFileError> {
    let user = credentials(password, scram)?;
    edit(path, |file| {
        check_name(name)?;
        if file.users.contains_key(name) {
            return Err(UserFileError::Exists { name: name.into() });
        }
        file.users.insert(name.into(), user);
        Ok(())
    })
}

/// Removes a user.
///
/// # Errors
/// There is no such user; the file cannot be read or written.
pub fn remove(path: &Path, name: &str) -> Result<(), UserFileError> {
    edit(path, |file| match file.users.remove(name) {
        Some(_) => Ok(()),
        None => Err(UserFileError::NoUser { name: name.into() }),
    })
}

/// Gives a user another password; without `scram`, the user can no longer log in by SCRAM-SHA-256.
///
/// # Errors
/// There is no such user; the password is empty; the file cannot be read or written.
pub fn set_password(path: &Path, name: &str, password: &Secret, scram: bool) -> Result<(), UserFileError> {
    let new = credentials(password, scram)?;
    edit(path, |file| {
        let user = find(file, name)?;
        (user.password, user.scram) = (new.password, new.scram);
        Ok(())
    })
}

/// Gives a user these groups and no others.
///
/// # Errors
/// There is no such user; a group cannot be taken; the file cannot be read or written.
pub fn set_groups(path: &Path, name: &str, groups: &[&str]) -> Result<(), UserFileError> {
    edit(path, |file| {
        if groups.iter().any(|group| !is_group(group)) {
            return Err(UserFileError::Group);
        }
        let user = find(file, name)?;
        user.groups = groups.iter().map(|group| (*group).into()).collect();
        user.groups.sort();
        user.groups.dedup();
        Ok(())
    })
}

/// The users of a file; none where there is no file.
///
/// # Errors
/// The file cannot be read.
pub fn list(path: &Path) -> Result<UserFile, UserFileError> {
    match UserFile::load(path) {
        Err(UserFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(UserFile::default())
        }
        read => read,
    }
}

fn find<'a>(file: &'a mut UserFile, name: &str) -> Result<&'a mut User, UserFileError> {
    file.users.get_mut(name).ok_or_else(|| UserFileError::NoUser { name: name.into() })
}

/// Changes the file while no other process does.
fn edit(
    path: &Path,
    change: impl FnOnce(&mut UserFile) -> Result<(), UserFileError>,
) -> Result<(), UserFileError> {
    let lock_path = beside(path, ".lock");
    let io = |source| UserFileError::Io { path: lock_path.clone(), source };
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path).map_err(io)?;
    lock.lock().map_err(io)?;
    let mut file = list(path)?;
    change(&mut file)?;
    file.save(path)
}

fn credentials(password: &Secret, scram: bool) -> Result<User, UserFileError> {
    if password.expose().is_empty() {
        return Err(UserFileError::EmptyPassword);
    }
    let scram = if scram { Some(Verifier::create(password.expose())?) } else { None };
    Ok(User { password: Some(PasswordHash::create(password.expose())?), scram, groups: Vec::new() })
}

fn parse_line(line: usize, text: &str) -> Result<(Box<str>, User), UserFileError> {
    let form = UserFileError::Form { line };
    let fields: Vec<&str> = text.split(':').collect();
    let (name, hash, scram, groups) = match fields.as_slice() {
        [name, hash] => (name, *hash, "", ""),
        [name, hash, scram] => (name, *hash, *scram, ""),
        [name, hash, scram, groups] => (name, *hash, *scram, *groups),
        _ => return Err(form),
    };
    check_name(name).map_err(|_| UserFileError::Form { line })?;
    let password = match hash {
        // Mosquitto takes an empty hash for "no password needed"; here such a user has none that fits.
        "" => None,
        hash => Some(PasswordHash::parse(hash).map_err(|source| UserFileError::Hash { line, source })?),
    };
    let scram = match scram {
        "" => None,
        scram => Some(Verifier::parse(scram).map_err(|source| UserFileError::Scram { line, source })?),
    };
    let groups: Vec<&str> = groups.split(',').filter(|group| !group.is_empty()).collect();
    if groups.iter().any(|group| !is_group(group)) {
        return Err(form);
    }
    let groups: BTreeSet<&str> = groups.into_iter().collect();
    let groups = groups.into_iter().map(Box::from).collect();
    Ok(((*name).into(), User { password, scram, groups }))
}

fn check_name(name: &str) -> Result<(), UserFileError> {
    let fits = !name.is_empty()
        && name.len() <= NAME_MAXIMUM
        && !name.starts_with('#')
        && name.trim() == name
        && !name.contains(|c: char| c == ':' || c.is_control());
    if fits { Ok(()) } else { Err(UserFileError::Name) }
}

fn is_group(group: &str) -> bool {
    !group.is_empty()
        && group.trim() == group
        && !group.contains(|c: char| c == ':' || c == ',' || c.is_control())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::scratch::Scratch;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    /// Made with mosquitto_passwd 2.0.11.
    const MOSQUITTO: &str = "\
alice:$7$101$VRIz6LK55MKfMCHy$l6+BHww5ShpkCI2xIKHaixhyeNk7fDIRyFUx4O0/Jc6YIf3EMlMIeN7OJ0/CogQMrZNdTz4eebmKI2h3Zja0Ng==
eve:$6$jk3XVqVHrRXGzg6o$JhLKIaS0fTbh3vlrvOxEpRfOI2wzLJb2DEKvdrC8M4TNiUdpgVG5fjDzh+l5MCZN8gltD2ighRS75phy0gfjhg==
";

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    #[test]
    fn a_file_that_mosquitto_made_is_read() {
        let file = UserFile::parse(MOSQUITTO).unwrap();

        assert_eq!(file.len(), 2);
        assert!(file.get("alice").unwrap().password.as_ref().unwrap().verify(b"wonderland"));
        assert!(file.get("eve").unwrap().password.as_ref().unwrap().verify(b"six-secret"));
        assert_eq!(file.expose(), format!("{HEAD}{MOSQUITTO}"));
    }

    #[test]
    fn users_are_added_changed_listed_and_removed() {
        let folder = Scratch::new("users");
        let path = folder.path("users");

        add(&path, "bob", &secret("one"), false).unwrap();
        add(&path, "amy", &secret("two"), true).unwrap();
        set_password(&path, "bob", &secret("three"), false).unwrap();
        set_groups(&path, "amy", &["ops", "admin", "ops"]).unwrap();

        let file = list(&path).unwrap();
        assert_eq!(file.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["amy", "bob"]);
        assert!(file.get("bob").unwrap().password.as_ref().unwrap().verify(b"three"));
        let amy = file.get("amy").unwrap();
        assert!(amy.scram.is_some());
        assert_eq!(amy.groups, ["admin".into(), "ops".into()] as [Box<str>; 2]);

        remove(&path, "bob").unwrap();
        assert!(list(&path).unwrap().get("bob").is_none());
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_changes_nothing() {
        let folder = Scratch::new("refused");
        let path = folder.path("users");
        add(&path, "bob", &secret("one"), false).unwrap();
        let before = list(&path).unwrap();

        assert!(matches!(add(&path, "bob", &secret("x"), false), Err(UserFileError::Exists { .. })));
        assert!(matches!(remove(&path, "amy"), Err(UserFileError::NoUser { .. })));
        assert!(matches!(set_password(&path, "amy", &secret("x"), false), Err(UserFileError::NoUser { .. })));
        assert!(matches!(set_password(&path, "bob", &secret(""), false), Err(UserFileError::EmptyPassword)));
        assert!(matches!(set_groups(&path, "bob", &["a,b"]), Err(UserFileError::Group)));
        for name in ["", "a:b", "#a", "a\nb", " a"] {
            assert!(matches!(add(&path, name, &secret("x"), false), Err(UserFileError::Name)), "{name:?}");
        }
        assert_eq!(list(&path).unwrap(), before);
    }

    #[test]
    fn only_the_owner_reads_the_file() {
        let folder = Scratch::new("mode");
        let path = folder.path("users");
        fs::write(&path, MOSQUITTO).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        add(&path, "bob", &secret("one"), false).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_left_by_a_crash_is_no_obstacle() {
        let folder = Scratch::new("crash");
        let path = folder.path("users");
        fs::write(beside(&path, ".new"), "half a li").unwrap();

        add(&path, "bob", &secret("one"), false).unwrap();

        assert_eq!(list(&path).unwrap().len(), 1);
        assert!(!beside(&path, ".new").exists());
    }

    #[test]
    fn writers_at_the_same_time_lose_nobody() {
        let folder = Scratch::new("race");
        let path = folder.path("users");

        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let path = &path;
                scope.spawn(move || add(path, name, &secret("pw"), false).unwrap());
            }
        });

        assert_eq!(list(&path).unwrap().len(), 4);
    }

    #[test]
    fn the_line_that_cannot_be_read_is_named() {
        let bad = ["bob", "bob:plain", "bob:::a b:c", "bob::$scram", ":$6$a$b", "alice:"];
        for line in bad {
            let error = UserFile::parse(&format!("{MOSQUITTO}{line}\n")).unwrap_err().to_string();

            assert!(error.starts_with("line 3: "), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_read_is_written_back(text in r"([a-z#]{0,3}:?(\$[67a]?[$:,=a-zA-Z0-9]{0,20})?\n?){0,6}") {
            if let Ok(file) = UserFile::parse(&text) {
                prop_assert_eq!(UserFile::parse(&file.expose()).unwrap(), file);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = UserFile::parse(&text);
        }
    }
}
