//! The file through crashes: torn ends, damage, long use.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use dunlin_codec::{PacketId, QoS};

use super::*;
use crate::{Message, Time};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-disk-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("queue")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn queued(key: u64, payload: &str) -> Record {
    let mut message = Message::new("a/b", payload.to_owned()).unwrap().qos(QoS::ExactlyOnce).retain(true);
    message.about_mut().user.push(("name".into(), "value".into()));
    message.about_mut().expiry = Some(60);
    Record::Queued { key, expires_at: Some(Time::from_millis(77)), message }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn write(path: &Path, records: &[Record]) {
    let (mut disk, _) = Disk::open(path, Sync::Never).unwrap();
    records.iter().for_each(|record| disk.append(record));
    disk.commit().unwrap();
}

fn remains(path: &Path) -> Remains {
    Disk::open(path, Sync::Never).unwrap().1.remains
}

#[test]
fn what_was_committed_is_there_again_with_all_it_said() {
    let folder = Folder::new();
    let records = [
        queued(1, "one"),
        queued(2, "two"),
        queued(3, "three"),
        Record::Sent { key: 1, packet_id: id(9) },
        Record::Released { key: 1 },
        Record::Done { key: 2 },
        Record::Taken { packet_id: id(4) },
        Record::Taken { packet_id: id(5) },
        Record::Freed { packet_id: id(5) },
    ];
    write(&folder.file(), &records);

    let found = remains(&folder.file());
    let keys: Vec<_> = found.messages.iter().map(|left| (left.key, left.packet_id, left.released)).collect();
    assert_eq!(keys, [(1, Some(id(9)), true), (3, None, false)]);
    assert_eq!(found.taken, [id(4)]);
    let Record::Queued { message, expires_at, .. } = queued(3, "three") else { unreachable!() };
    assert_eq!((&found.messages[1].message, found.messages[1].expires_at), (&message, expires_at));
}

/// Wherever a crash tears the file, what was before is there and what follows can be written.
#[test]
fn a_file_torn_anywhere_keeps_all_whole_records() {
    let folder = Folder::new();
    write(&folder.file(), &[queued(1, "one"), queued(2, "two"), Record::Done { key: 1 }, queued(3, "three")]);
    let whole = fs::read(folder.file()).unwrap();
    let mut most = 0;
    for length in 0..whole.len() {
        fs::write(folder.file(), &whole[..length]).unwrap();
        let keys: Vec<u64> = remains(&folder.file()).messages.iter().map(|left| left.key).collect();
        assert!([&[][..], &[1], &[1, 2], &[2]].contains(&&keys[..]), "{keys:?} at {length}");
        most = most.max(keys.len());
        write(&folder.file(), &[queued(9, "nine")]);
        assert_eq!(remains(&folder.file()).messages.last().unwrap().key, 9);
    }
    assert_eq!(most, 2);
}

#[test]
fn damage_ends_the_queue_there_and_is_kept() {
    let folder = Folder::new();
    write(&folder.file(), &[queued(1, "one"), queued(2, "two"), queued(3, "three")]);
    let mut bytes = fs::read(folder.file()).unwrap();
    let at = bytes.windows(3).position(|part| part == b"two").unwrap();
    bytes[at] ^= 1;
    fs::write(folder.file(), &bytes).unwrap();

    let (_, opened) = Disk::open(&folder.file(), Sync::Never).unwrap();
    assert_eq!(opened.remains.messages.len(), 1);
    let (length, copy) = opened.damaged.unwrap();
    let kept = fs::read(copy).unwrap();
    assert_eq!(kept.len() as u64, length);
    assert!(kept.windows(5).any(|part| part == b"three"));
}

#[test]
fn a_file_of_somebody_else_and_one_in_use_are_refused() {
    let folder = Folder::new();
    fs::write(folder.file(), b"something else").unwrap();
    assert!(matches!(Disk::open(&folder.file(), Sync::Never), Err(DiskError::Foreign(_))));
    assert_eq!(fs::read(folder.file()).unwrap(), b"something else");
    fs::remove_file(folder.file()).unwrap();
    let _first = Disk::open(&folder.file(), Sync::Never).unwrap();
    assert!(matches!(Disk::open(&folder.file(), Sync::Never), Err(DiskError::Locked(_))));
}

/// The file stays small however much goes through it, and what is left survives the change of files.
#[test]
fn long_use_leaves_a_small_file() {
    let folder = Folder::new();
    let (mut disk, _) = Disk::open(&folder.file(), Sync::Never).unwrap();
    let payload = "x".repeat(10_000);
    disk.append(&queued(0, "stays"));
    disk.append(&Record::Sent { key: 0, packet_id: id(3) });
    disk.append(&Record::Taken { packet_id: id(8) });
    for key in 1..2_000 {
        disk.append(&queued(key, &payload));
        disk.append(&Record::Done { key: key - u64::from(key > 1) });
        disk.commit().unwrap();
        assert!(disk.size() < 3 << 20, "{} bytes", disk.size());
    }
    drop(disk);
    let found = remains(&folder.file());
    assert_eq!((found.messages[0].key, found.messages[0].packet_id), (0, Some(id(3))));
    assert_eq!(found.messages.len(), 2, "and the last one");
    assert_eq!(found.taken, [id(8)]);
    assert!(Disk::open(&folder.file(), Sync::Never).is_ok(), "the lock went with the file");
}
