//! Pages whose commands are given beside a server without `--dev`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Promise, promises, root};

/// A server with a data directory of its own, and a directory to work in.
struct Server {
    child: Child,
    port: String,
    directory: PathBuf,
}

/// Where the `dunlin` lies that was built with this test.
fn binaries() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    executable.ancestors().nth(2).expect("the test lies in target/PROFILE/deps").to_owned()
}

impl Server {
    fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("dunlin-docs-secured-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("work")).unwrap();
        let mut command = Command::new(binaries().join("dunlin"));
        command.args(["serve", "--listen", "tls://127.0.0.1:0"]).env("DUNLIN_DATA", directory.join("data"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut server = Self { child, port: String::new(), directory };
        for line in lines {
            if let Some(port) = line.strip_prefix("dunlin: listening on tls://127.0.0.1:") {
                port.clone_into(&mut server.port);
            }
            if line == "dunlin: accepting connections" {
                return server;
            }
        }
        panic!("dunlin serve does not accept connections");
    }

    /// Runs a script with the server's port and data directory.
    fn run(&self, script: &str) -> String {
        let port = &self.port;
        let prelude = format!(
            "mosquitto_pub() {{ command mosquitto_pub -p {port} \"$@\"; }}\n\
             dunlin() {{ case $1 in\n\
             pub|sub) local tool=$1; shift; command dunlin $tool -p {port} \"$@\";;\n\
             *) command dunlin \"$@\";; esac; }}\n"
        );
        let path = format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap());
        let output = Command::new("timeout")
            .args(["30", "bash", "-c", &(prelude + script)])
            .current_dir(self.directory.join("work"))
            .env("DUNLIN_DATA", self.directory.join("data"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .expect("bash and timeout are part of every system");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn keep(page: &str) {
    let text = fs::read_to_string(root().join(Path::new(page))).unwrap();
    let promises = promises(&text);
    assert!(!promises.is_empty(), "{page} promises nothing");
    for Promise { line, script, output } in promises {
        assert_eq!(Server::start().run(&script), output, "{page}, line {line}:\n{script}");
    }
}

#[test]
fn the_page_on_the_first_start_keeps_its_promises() {
    keep("docs/first-start.md");
}

/// Its script starts a server of its own.
#[test]
fn the_page_on_identity_keeps_its_promises() {
    let text = fs::read_to_string(root().join("docs/identity.md")).unwrap();
    let promises = promises(&text);
    assert!(!promises.is_empty(), "the page promises nothing");
    for Promise { line, script, output } in promises {
        let name = format!("dunlin-docs-identity-{}-{line}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let path = format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("timeout");
        bash.args(["60", "bash", "-c", &script]).current_dir(&directory).stdin(Stdio::null());
        let said = bash.env("PATH", path).env("DUNLIN_DATA", directory.join("data")).output().unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let said = [said.stdout, said.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), output, "docs/identity.md, line {line}:\n{script}");
    }
}

#[test]
fn the_page_on_certificates_keeps_its_promises() {
    keep("docs/certificates.md");
}

#[test]
fn the_page_on_the_api_keeps_its_promises() {
    keep("docs/api.md");
}
