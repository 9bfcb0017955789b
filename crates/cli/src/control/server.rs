//! The side that answers.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::{LINE_MAX, socket};

/// Requests that are worked on at once.
const AT_ONCE: usize = 8;
/// How long whoever connects may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers a request by its name and arguments; errors in words. It runs on a thread of its own and may block.
pub(crate) trait Answer: Fn(&str, &Value) -> Result<Value, String> + Send + Sync + 'static {}
impl<F: Fn(&str, &Value) -> Result<Value, String> + Send + Sync + 'static> Answer for F {}

/// A control socket that is listened to until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in a data directory, which this process has locked: a socket that is there is a remain of another one.
    ///
    /// # Errors
    /// What the system says; a path that is too long among it.
    pub(crate) fn listen(data: &Path, answer: impl Answer) -> io::Result<Self> {
        let path = socket(data);
        let new = data.join("control.new");
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        // Nobody knows the name before the owner alone may open it.
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let accept = move || accept(&listener, &stopped, &Arc::new(answer));
        let thread = thread::Builder::new().name("control".to_owned()).spawn(accept)?;
        Ok(Self { path, stop, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread. What is being answered is answered on its own.
        let woken = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, stop: &AtomicBool, answer: &Arc<impl Answer>) {
    let working = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            // No file descriptor is left, most likely: trying again at once would only burn time.
            thread::park_timeout(Duration::from_millis(100));
            continue;
        };
        if working.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            working.fetch_sub(1, Ordering::AcqRel);
            let _ = reply(&stream, &json!({ "error": "too many requests at once; try again" }));
            continue;
        }
        let (answer, done) = (Arc::clone(answer), Arc::clone(&working));
        let serve = move || {
            // Whoever asked may have gone; that is no concern of the broker.
            let _ = serve(&stream, &*answer);
            done.fetch_sub(1, Ordering::AcqRel);
        };
        if thread::Builder::new().name("control-request".to_owned()).spawn(serve).is_err() {
            working.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(stream: &UnixStream, answer: &impl Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut line)?;
    let request = serde_json::from_str::<Value>(&line).ok();
    let name = request.as_ref().and_then(|request| request["request"].as_str());
    let answered = match (&request, name) {
        (Some(request), Some(name)) => answer(name, &request["arguments"]),
        _ => Err("this is no request: one line, {\"request\": NAME, \"arguments\": ...}".to_owned()),
    };
    reply(stream, &answered.map_or_else(|error| json!({ "error": error }), |value| json!({ "ok": value })))
}

fn reply(mut stream: &UnixStream, value: &Value) -> io::Result<()> {
    stream.write_all(format!("{value}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Ask, ask};
    use std::sync::atomic::AtomicU32;

    fn directory() -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-control-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn answer(name: &str, arguments: &Value) -> Result<Value, String> {
        if name == "echo" { Ok(arguments.clone()) } else { Err(format!("no request {name}")) }
    }

    #[test]
    fn a_request_is_answered_and_the_owner_alone_may_ask() {
        let data = directory();
        assert_eq!(ask(&data, "echo", &json!(1)), Err(Ask::NotRunning));
        let control = Control::listen(&data, answer).unwrap();
        let arguments = json!({"a": ["b", 1]});
        assert_eq!(ask(&data, "echo", &arguments), Ok(arguments));
        assert_eq!(ask(&data, "fly", &json!(null)), Err(Ask::Refused("no request fly".to_owned())));
        let mode = fs::metadata(data.join("control.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(control);
        assert_eq!(ask(&data, "echo", &json!(1)), Err(Ask::NotRunning));
        fs::remove_dir_all(data).unwrap();
    }

    #[test]
    fn what_is_no_request_gets_an_answer_and_a_remaining_socket_is_replaced() {
        let data = directory();
        // The listener goes without removing its file, as with a process that was killed.
        drop(UnixListener::bind(data.join("control.sock")).unwrap());
        assert_eq!(ask(&data, "echo", &json!(1)), Err(Ask::NotRunning));
        let _control = Control::listen(&data, answer).unwrap();
        for line in ["\n", "x\n", "{\"request\": 1}\n", "[]\n"] {
            let mut stream = UnixStream::connect(data.join("control.sock")).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            assert!(reply.contains("this is no request"), "{line:?}: {reply}");
        }
        let mut stream = UnixStream::connect(data.join("control.sock")).unwrap();
        let endless = vec![b'x'; usize::try_from(LINE_MAX).unwrap()];
        stream.write_all(&endless).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.contains("this is no request"), "{reply}");
        fs::remove_dir_all(data).unwrap();
    }

    #[test]
    fn more_requests_than_are_worked_on_at_once_are_refused() {
        let data = directory();
        let (busy, waits) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let (counted, held) = (Arc::clone(&busy), Arc::clone(&waits));
        let _control = Control::listen(&data, move |_: &str, _: &Value| {
            counted.fetch_add(1, Ordering::AcqRel);
            while held.load(Ordering::Acquire) {
                thread::yield_now();
            }
            Ok(json!(null))
        })
        .unwrap();
        let askers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let data = data.clone();
                thread::spawn(move || ask(&data, "wait", &json!(null)))
            })
            .collect();
        while busy.load(Ordering::Acquire) < AT_ONCE {
            thread::yield_now();
        }
        assert!(matches!(ask(&data, "wait", &json!(null)), Err(Ask::Refused(_))));
        waits.store(false, Ordering::Release);
        assert!(askers.into_iter().all(|asker| asker.join().unwrap() == Ok(json!(null))));
        fs::remove_dir_all(data).unwrap();
    }
}
