//! The operator's API of a server without `--dev`, by its commands and by hand.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::secured::{Directory, both};

/// A server, and where its API and its TCP port are.
pub(crate) struct Server {
    child: Child,
    pub(crate) api: String,
    pub(crate) port: String,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(directory: &Directory, configuration: &str) -> Self {
        Self::launch(directory, configuration, &["--listen", "unix:mqtt.sock"])
    }

    #[track_caller]
    pub(crate) fn launch(directory: &Directory, configuration: &str, arguments: &[&str]) -> Self {
        fs::write(directory.file("dunlin.toml"), configuration).unwrap();
        let usual = ["serve", "--config", "dunlin.toml", "--listen", "127.0.0.1:0"];
        let mut serve = directory.dunlin(&[&usual[..], arguments].concat());
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut server = Self { child, api: String::new(), port: String::new() };
        for line in lines {
            if let Some(url) = line.strip_prefix("dunlin: API on ") {
                url.clone_into(&mut server.api);
            }
            if let Some(port) = line.strip_prefix("dunlin: listening on tcp://127.0.0.1:") {
                port.clone_into(&mut server.port);
            }
            if line == "dunlin: accepting connections" {
                return server;
            }
        }
        panic!("it does not accept");
    }

    /// Status and body of an answer over TCP, and its head.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> (u16, Value, String) {
        let address = self.api.strip_prefix("http://").unwrap();
        answer(TcpStream::connect(address).unwrap(), method, target, headers, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn answer(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> (u16, Value, String) {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null), head.to_ascii_lowercase())
}

pub(crate) const ON_A_PORT: &str = "[api]\nlisten = \"127.0.0.1:0\"\n";

/// A token of a role.
pub(crate) fn token(directory: &Directory, role: &str) -> String {
    let said = directory.run(&["token", "add", role, "--role", role]);
    said.trim_end().rsplit(' ').next().unwrap().to_owned()
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

/// Every route of the document with its method, parameters filled in.
fn routes(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| {
            let target = if path.ends_with("/message") { format!("{path}?topic=t") } else { path.clone() };
            (method.to_uppercase(), target.replace("{client_id}", "nobody"))
        })
    });
    routes.collect()
}

#[test]
fn nobody_gets_anything_without_credentials_but_health_and_the_document() {
    let directory = Directory::new();
    let server = Server::start(&directory, ON_A_PORT);
    let (status, document, _) = server.ask("GET", "/api/v1/openapi.json", "", "");
    assert_eq!(status, 200);
    let routes = routes(&document);
    assert!(routes.len() > 15, "{routes:?}");
    for (method, target) in routes {
        let (status, problem, head) = server.ask(&method, &target, "", "");
        if target.starts_with("/health/") {
            assert_eq!((status, &problem["status"]), (200, &json!("up")), "{method} {target}");
        } else {
            assert_eq!((status, &problem["status"]), (401, &json!(401)), "{method} {target}");
            assert!(head.contains("content-type: application/problem+json"), "{head}");
            assert!(head.contains("www-authenticate: bearer"), "{head}");
        }
    }
}

#[test]
fn roles_bound_what_is_done_and_changes_stand_in_the_audit_log() {
    let directory = Directory::new();
    let [viewer, operator, administrator] =
        ["viewer", "operator", "administrator"].map(|role| bearer(&token(&directory, role)));
    let server = Server::start(&directory, ON_A_PORT);
    let message = "{\"topic\": \"a\", \"payload\": \"secret\"}";
    let requests = [
        ("GET", "/api/v1/sessions", "", [200, 200, 200]),
        ("GET", "/api/v1/explain?client=c&topic=t", "", [200, 200, 200]),
        ("GET", "/api/v1/explain/watch?client=c&topic=t&seconds=1", "", [403, 200, 200]),
        ("GET", "/api/v1/rights/files", "", [403, 403, 200]),
        ("GET", "/api/v1/rights/seen", "", [403, 403, 200]),
        ("POST", "/api/v1/publish", message, [403, 202, 202]),
        ("DELETE", "/api/v1/sessions/nobody", "", [403, 404, 404]),
        ("GET", "/api/v1/configuration", "", [403, 403, 200]),
        ("POST", "/api/v1/backup", "{\"to\": \"relative\"}", [403, 403, 400]),
        ("POST", "/api/v1/rights/reload", "", [403, 403, 204]),
    ];
    for (method, target, body, expected) in requests {
        let statuses =
            [&viewer, &operator, &administrator].map(|who| server.ask(method, target, who, body).0);
        assert_eq!(statuses, expected, "{method} {target}");
    }
    // A page of another site has the browser's password, but not its trust.
    let (status, ..) =
        server.ask("DELETE", "/api/v1/sessions/x", &format!("{operator}Sec-Fetch-Site: cross-site\r\n"), "");
    assert_eq!(status, 403);
    let log = fs::read_to_string(directory.path().join("data/audit.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said =
        |line: &Value| format!("{} {} {}", line["who"], line["request"], line["status"]).replace('"', "");
    assert_eq!(
        lines.iter().map(said).collect::<Vec<_>>(),
        [
            "token:viewer POST /api/v1/publish 403",
            "token:operator POST /api/v1/publish 202",
            "token:administrator POST /api/v1/publish 202",
            "token:viewer DELETE /api/v1/sessions/nobody 403",
            "token:operator DELETE /api/v1/sessions/nobody 404",
            "token:administrator DELETE /api/v1/sessions/nobody 404",
            "token:viewer POST /api/v1/backup 403",
            "token:operator POST /api/v1/backup 403",
            "token:administrator POST /api/v1/backup 400",
            "token:viewer POST /api/v1/rights/reload 403",
            "token:operator POST /api/v1/rights/reload 403",
            "token:administrator POST /api/v1/rights/reload 204",
        ]
    );
    assert_eq!(lines[1]["what"], "topic \"a\", 6 bytes, QoS 0, retain false");
    assert!(!log.contains("secret"), "no payload");
}

#[test]
fn whoever_guesses_has_to_wait() {
    let directory = Directory::new();
    let server = Server::start(&directory, ON_A_PORT);
    let statuses: Vec<u16> =
        (0..12).map(|_| server.ask("GET", "/api/v1/clients", &bearer("guess"), "").0).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
    let (_, problem, head) = server.ask("GET", "/api/v1/clients", &bearer("guess"), "");
    assert!(head.contains("retry-after: "), "{head}");
    assert_eq!(problem["title"], "Too Many Requests");
    // The socket is the owner's: nobody guesses there.
    let socket = UnixStream::connect(directory.file("data/api.sock")).unwrap();
    assert_eq!(answer(socket, "GET", "/api/v1/clients", "", "").0, 200);
}

/// As a user, by HTTP.
fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{}", password.trim())))
}

#[test]
fn users_are_those_of_the_file_that_a_reload_names() {
    let directory = Directory::new();
    fs::write(directory.file("password"), "of ben").unwrap();
    directory.run(&["user", "add", "ben", "--group", "viewers", "--password-file", "password"]);
    fs::rename(directory.file("data/users"), directory.file("others")).unwrap();
    let server = Server::start(&directory, ON_A_PORT);
    let admin = fs::read_to_string(directory.file("data/admin.password")).unwrap();
    let asks = |user, password: &str| server.ask("GET", "/api/v1/clients", &basic(user, password), "").0;
    assert_eq!((asks("admin", &admin), asks("ben", "of ben")), (200, 401));

    let named = format!("{ON_A_PORT}[authentication.password]\nfile = \"others\"\n");
    fs::write(directory.file("dunlin.toml"), named).unwrap();
    kill_process(Pid::from_child(&server.child), Signal::HUP).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while directory.run(&["user", "list"]) != "ben  (viewers)\n" {
        assert!(Instant::now() < until, "the file is not read");
    }
    assert_eq!((asks("admin", &admin), asks("ben", "of ben")), (401, 200));
}

/// `dunlin sub` of the administrator, once it is subscribed; whoever asks for it ends it.
#[allow(clippy::zombie_processes, reason = "the caller waits for it")]
fn subscribed(directory: &Directory, id: &str, filter: &str) -> Child {
    let password = fs::read_to_string(directory.path().join("data/admin.password")).unwrap();
    let arguments =
        ["sub", "--unix", "mqtt.sock", "-u", "admin", "-P", password.trim(), "-i", id, "-t", filter];
    let mut command = directory.dunlin(&[&arguments[..], &["-c", "-x", "600", "-q", "1"]].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        let output = directory.dunlin(&["clients", "subscriptions", id]).output().unwrap();
        if String::from_utf8_lossy(&output.stdout).contains(filter) {
            return child;
        }
    }
}

#[test]
fn the_commands_show_clients_and_change_them() {
    let directory = Directory::new();
    let server = Server::start(&directory, ON_A_PORT);
    let mut client = subscribed(&directory, "pump/7", "plant/#");
    let list = directory.run(&["clients", "list", "--prefix", "pump", "--connected"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((&row[..4], row[5]), (&["pump/7", "admin", "unix", "5.0"][..], "1"), "{list}");
    assert_eq!(directory.run(&["clients", "list", "--disconnected"]), "");
    let shown: Value =
        serde_json::from_str(&directory.run(&["clients", "show", "pump/7", "--json"])).unwrap();
    assert_eq!((&shown["user"], &shown["durable"]), (&json!("admin"), &json!(true)), "{shown}");
    let by_topic = directory.run(&["subscriptions", "--topic", "plant/1", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&by_topic).unwrap()["filter"], "plant/#");

    let said = directory.run(&["clients", "disconnect", "pump/7"]);
    assert_eq!(said, "dunlin: pump/7 disconnected\n");
    drop(client.kill());
    drop(client.wait());
    let body = "{\"topic\": \"plant/1\", \"payload\": \"x\", \"qos\": 1, \"retain\": true}";
    let socket = UnixStream::connect(directory.file("data/api.sock")).unwrap();
    let published = answer(socket, "POST", "/api/v1/publish", "Content-Type: application/json\r\n", body);
    assert_eq!(published.1, json!({"wanted": true}));
    let waiting = directory.run(&["clients", "messages", "pump/7"]);
    assert!(waiting.lines().nth(1).is_some_and(|line| line.starts_with("queued")), "{waiting}");
    assert_eq!(directory.run(&["retained", "show", "plant/1"]), "x");
    assert!(directory.run(&["topics", "list", "plant"]).contains("plant/1  yes"));
    assert!(directory.run(&["topics", "published"]).contains("plant/1"));
    directory.run(&["retained", "delete", "plant/1"]);
    assert!(directory.fails(1, &["retained", "show", "plant/1"]).contains("no retained message"));
    directory.run(&["sessions", "end", "pump/7"]);
    assert!(
        directory.fails(1, &["sessions", "show", "pump/7"]).contains("no client \"pump/7\" has a session")
    );

    // The same from elsewhere, with a password.
    let password = "data/admin.password";
    let elsewhere = ["--api", &server.api, "--user", "admin", "--password-file", password];
    assert_eq!(directory.run(&[&["sessions", "list"][..], &elsewhere].concat()), "");
    drop(server);
    assert!(directory.fails(1, &["clients", "list"]).contains("no broker is running on"));
}

#[test]
fn it_is_encrypted_where_there_is_a_certificate() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    let configuration =
        format!("{ON_A_PORT}certificate = \"data/pki/server.crt\"\nkey = \"data/pki/server.key\"\n");
    let operator = token(&directory, "operator");
    let server = Server::start(&directory, &configuration);
    let url = server.api.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    fs::write(directory.file("token"), operator).unwrap();
    let arguments = ["clients", "list", "--api", &url, "--token-file", "token"];
    assert!(
        directory.fails(1, &arguments).contains("https://localhost"),
        "the system does not know the authority"
    );
    let trusting = [&arguments[..], &["--cafile", "data/pki/authority.crt"]].concat();
    assert_eq!(directory.run(&trusting), "");
}

#[test]
fn an_address_that_others_reach_needs_a_certificate_and_dev_has_none() {
    let directory = Directory::new();
    fs::write(directory.file("dunlin.toml"), "[api]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let error = directory.fails(5, &["serve", "--dev", "--config", "dunlin.toml", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("api.listen = \"0.0.0.0:0\": not a loopback address"), "{error}");
}

#[test]
fn the_socket_is_its_owners_alone_and_replaces_one_that_remained() {
    let directory = Directory::new();
    let server = Server::start(&directory, "api.network = false\n");
    let mode = fs::metadata(directory.file("data/api.sock")).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, server.api.as_str()), (0o600, ""));
    // Killed, it leaves the socket behind.
    drop(server);
    assert!(fs::exists(directory.file("data/api.sock")).unwrap());
    assert!(directory.fails(1, &["clients", "list"]).contains("no broker is running on"));
    let _server = Server::start(&directory, "api.network = false\n");
    assert_eq!(directory.run(&["clients", "list"]), "");
    assert!(!fs::exists(directory.file("data/control.sock")).unwrap());
}

/// Whoever may connect to a port may connect to all that it takes: the owner has room of its own.
#[test]
fn a_crowd_at_the_port_does_not_keep_the_owner_out() {
    let directory = Directory::new();
    let server = Server::start(&directory, ON_A_PORT);
    let address = server.api.strip_prefix("http://").unwrap();
    let crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(directory.run(&["clients", "list"]), "");
    crowd[0].set_nonblocking(true).unwrap();
    let closed = crowd[0].peek(&mut [0]).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::WouldBlock, "the crowd is still there");
}

#[test]
fn a_running_broker_is_copied_through_its_socket() {
    let directory = Directory::new();
    let server = Server::start(&directory, "api.network = false\n");
    let body = "{\"topic\": \"a\", \"payload\": \"kept\", \"qos\": 1, \"retain\": true}";
    let socket = UnixStream::connect(directory.file("data/api.sock")).unwrap();
    let published = answer(socket, "POST", "/api/v1/publish", "Content-Type: application/json\r\n", body);
    assert_eq!(published.0, 202);
    let backup = ["backup", "copy", "--data", "data"];
    let said = directory.run(&backup);
    assert!(said.ends_with(&format!(" bytes copied to {}\n", directory.file("copy"))), "{said}");
    assert!(directory.fails(1, &backup).contains("not empty"));
    let log = fs::read_to_string(directory.path().join("data/audit.log")).unwrap();
    let done = log.lines().filter(|line| line.contains("POST /api/v1/backup"));
    let statuses: Vec<_> =
        done.map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone()).collect();
    assert_eq!(statuses, [json!(200), json!(409)], "{log}");
    drop(server);
    directory.run(&["restore", "copy", "--data", "again"]);
    directory.run(&["journal", "check", "again"]);
}

/// Requests that the document allows and some that it does not: no answer is one that the document does not have.
#[test]
fn the_api_is_as_its_document_says() {
    let directory = Directory::new();
    let token = token(&directory, "administrator");
    let server = Server::start(&directory, ON_A_PORT);
    let mut client = subscribed(&directory, "here", "plant/#");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/schemathesis");
    let mut command = Command::new(program);
    command.args([
        "run",
        &format!("{}/api/v1/openapi.json", server.api),
        "--max-examples",
        "10",
        "--seed",
        "1",
    ]);
    // Copies would be made wherever it has the idea. What the document cannot say is refused too: filters, places. A wrong token
    // is tried often enough to be banned.
    command.args(["--exclude-path", "/api/v1/backup", "--no-color", "--no-shrink"]);
    // A stream has no schema of its events there.
    command.args(["--exclude-path", "/api/v1/trace", "--exclude-path", "/api/v1/explain/watch"]);
    command.args(["--exclude-checks", "positive_data_acceptance,ignored_auth"]);
    command.args(["-H", &format!("Authorization: Bearer {token}")]).current_dir(directory.path());
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("schemathesis cannot be run ({error}): run make setup-tests"));
    drop(client.kill());
    drop(client.wait());
    assert!(output.status.success(), "{}", both(&output));
}
