//! User names and passwords: hashes, the file that holds them, the authenticator.

mod file;
mod hash;
mod login;
mod store;

pub use file::{User, UserFile, UserFileError, add, list, remove, set_groups, set_password};
pub use hash::{HashError, PasswordHash};
pub use login::Passwords;
pub use store::UserStore;
