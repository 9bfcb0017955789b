//! `dunlin journal`, `dunlin backup`, `dunlin restore` and the key file, on directories that the store made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use dunlin_store::{DirDisk, Journal, Keyring, MasterKey, Options, PartitionId, Purpose, Store};

use crate::process::{fails, run};

/// A directory that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("dunlin-cli-journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn journal(data: &str, keys: Keyring) -> Store<DirDisk> {
    let disk = DirDisk::new(&Path::new(data).join("journal")).unwrap();
    let store = Store::open(disk, Options { keys, segment_size: 1 << 20, ..Options::default() }).unwrap();
    let writer = store.claim(PartitionId(7)).unwrap();
    for number in 0..100 {
        let record = format!("record {number} \x1b[31m");
        store.append(writer, Purpose::Growth, &[record.as_bytes()]).unwrap();
        store.sync().unwrap();
    }
    store
}

/// What it says on standard output, after this exit code.
#[track_caller]
fn says(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn segment(data: &str) -> PathBuf {
    let files = fs::read_dir(Path::new(data).join("journal")).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.to_string_lossy().contains("segment-")).collect();
    segments.sort();
    segments.remove(0)
}

fn damage(data: &str) {
    let file = segment(data);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(9).position(|window| window == b"record 50").unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_whole_journal_is_checked_counted_and_dumped() {
    let home = Temporary::new();
    let data = home.path("data");
    let store = journal(&data, Keyring::default());
    assert!(fails(5, &["journal", "check", &data]).contains("in use by another process"));
    drop(store);
    assert_eq!(says(0, &["journal", "check", &data]), "100 records in 1 segments, all whole\n");
    let stat = says(0, &["journal", "stat", &data]);
    assert!(
        stat.contains("partitions    1 with records\n") && stat.contains("files are not encrypted"),
        "{stat}"
    );
    let dump = says(0, &["journal", "dump", &data]);
    assert_eq!(dump.lines().count(), 100);
    assert_eq!(dump.lines().nth(50).unwrap(), "7:50 15 bytes \"record 50 \\x1b[31m\"");
    let json =
        says(0, &["journal", "dump", &data, "--json", "--partition", "7", "--from", "99", "--bytes", "6"]);
    let expected =
        "{\"bytes\":\"7265636f7264\",\"length\":15,\"meaning\":null,\"partition\":7,\"record\":99}\n";
    assert_eq!(json, expected);
    assert_eq!(says(0, &["journal", "repair", &data]), "100 records in 1 segments, all whole\n");
    assert!(fails(5, &["journal", "check", &home.path("")]).contains("there is no log"));
    assert!(fails(1, &["journal", "check", &home.path("nothing")]).contains("No such file"));
}

#[test]
fn damage_is_named_and_repaired_when_that_is_confirmed() {
    let home = Temporary::new();
    let data = home.path("data");
    drop(journal(&data, Keyring::default()));
    damage(&data);
    let before = fs::read(segment(&data)).unwrap();
    let check = says(1, &["journal", "check", &data]);
    assert!(check.contains("DAMAGE: segment-00000001 at "), "{check}");
    assert!(check.contains("record 50 of partition 7, starting with \"secord 50 \\x1b[31m\""), "{check}");
    assert!(check.contains("1 places are damaged"), "{check}");
    let json = says(1, &["journal", "check", &data, "--json"]);
    assert!(json.starts_with("{\"bytes\":\"7365636f72642035"), "{json}");
    assert!(says(1, &["journal", "dump", &data]).contains("7:50 to 50 LOST\n"));
    says(1, &["journal", "repair", &data]);
    assert_eq!(fs::read(segment(&data)).unwrap(), before, "nothing is changed without --yes");
    let repaired = says(0, &["journal", "repair", &data, "--yes"]);
    assert!(repaired.contains("1 places repaired"), "{repaired}");
    assert_eq!(says(0, &["journal", "check", &data]), "99 records in 1 segments, all whole\n");
}

#[test]
fn a_key_file_is_its_owners_and_keys_are_rotated() {
    let home = Temporary::new();
    let (data, file) = (home.path("data"), home.path("keys"));
    says(0, &["journal", "key", "new", &file]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    assert!(fails(3, &["journal", "key", "new", &file]).contains("File exists"));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(says(0, &["journal", "key", "list", &file]), "1\n");
    says(0, &["journal", "key", "new", &file, "--add"]);
    assert_eq!(says(0, &["journal", "key", "list", &file]), "1\n2\n");

    let text = fs::read_to_string(&file).unwrap();
    let keys: Vec<[u8; 32]> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| bytes(line.split_once(' ').unwrap().1))
        .collect();
    let [one, two] = keys[..] else { panic!("{text}") };
    drop(journal(&data, Keyring::default().with(1, MasterKey::new(one))));
    drop(journal(&data, Keyring::default().with(1, MasterKey::new(one)).with(2, MasterKey::new(two))));
    assert!(fails(3, &["journal", "check", &data]).contains("is sealed with key"));
    let stat = says(0, &["journal", "stat", &data, "--keys", &file]);
    assert!(stat.contains("key 1         seals 1 files\nkey 2         seals 1 files\n"), "{stat}");
    assert_eq!(
        says(0, &["journal", "check", &data, "--keys", &file]),
        "200 records in 2 segments, all whole\n"
    );

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(
        fails(3, &["journal", "check", &data, "--keys", &file]).contains("others can read it (mode 640)")
    );
}

fn bytes(digits: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

#[test]
fn a_copy_of_a_broker_that_has_ended_is_restored_whole() {
    let home = Temporary::new();
    let (data, copy, again) = (home.path("data"), home.path("copy"), home.path("again"));
    drop(journal(&data, Keyring::default()));
    assert!(says(0, &["backup", &copy, "--data", &data]).starts_with("dunlin: 100 records, "));
    assert!(fails(5, &["backup", &copy, "--data", &data]).contains("the target is not empty"));
    says(0, &["restore", &copy, "--data", &again]);
    assert_eq!(says(0, &["journal", "dump", &again]), says(0, &["journal", "dump", &data]));
    damage(&data);
    let refused = fails(1, &["backup", &home.path("damaged"), "--data", &data]);
    assert!(refused.contains("the backup is damaged in 1 places"), "{refused}");
    assert!(fails(1, &["restore", &home.path("nothing"), "--data", &again]).contains("No such file"));
}
