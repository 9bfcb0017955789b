//! A thousand clients lose the same server at the same moment: when do they come back?

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dunlin_client::{Address, Client, Options, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const CLIENTS: usize = 1_000;
/// CONNACK of 5.0: success, no properties.
const CONN_ACK: [u8; 5] = [0x20, 3, 0, 0, 0];

/// A server that can go away.
struct Server {
    up: AtomicBool,
    attempts: Mutex<Vec<Instant>>,
    accepted: Mutex<Vec<Instant>>,
}

impl Server {
    async fn run(self: Arc<Self>, listener: TcpListener, cut: watch::Sender<u32>) {
        while let Ok((stream, _)) = listener.accept().await {
            self.attempts.lock().unwrap().push(Instant::now());
            if self.up.load(Ordering::Acquire) {
                tokio::spawn(self.clone().serve(stream, cut.subscribe()));
            }
        }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, mut cut: watch::Receiver<u32>) {
        let mut chunk = [0; 1024];
        if matches!(stream.read(&mut chunk).await, Ok(1..)) && stream.write_all(&CONN_ACK).await.is_ok() {
            self.accepted.lock().unwrap().push(Instant::now());
            tokio::select! {
                _ = cut.changed() => {}
                _ = async { while matches!(stream.read(&mut chunk).await, Ok(1..)) {} } => {}
            }
        }
    }
}

pub(crate) fn report() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        storm(Duration::ZERO).await;
        storm(Duration::from_secs(5)).await;
    });
}

async fn storm(outage: Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let server = Arc::new(Server {
        up: AtomicBool::new(true),
        attempts: Mutex::new(Vec::new()),
        accepted: Mutex::new(Vec::new()),
    });
    let (cut, _) = watch::channel(0);
    tokio::spawn(server.clone().run(listener, cut.clone()));
    let clients: Vec<Client> = (0..CLIENTS).map(|number| client(number, to)).collect();
    for client in &clients {
        client.connected().await.unwrap();
    }
    server.attempts.lock().unwrap().clear();
    server.accepted.lock().unwrap().clear();
    server.up.store(outage.is_zero(), Ordering::Release);
    let began = Instant::now();
    cut.send_replace(1);
    tokio::time::sleep(outage).await;
    server.up.store(true, Ordering::Release);
    while server.accepted.lock().unwrap().len() < CLIENTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tell(outage, began, &server.attempts.lock().unwrap(), &server.accepted.lock().unwrap());
}

fn client(number: usize, to: SocketAddr) -> Client {
    let address = Address::tcp(to.ip().to_string(), to.port(), false);
    Client::connect(Options::new(address, Settings::new(format!("storm-{number}")))).unwrap()
}

fn tell(outage: Duration, began: Instant, attempts: &[Instant], accepted: &[Instant]) {
    let mut tenths = vec![0_usize; 1];
    for at in attempts {
        let tenth = usize::try_from(at.duration_since(began).as_millis() / 100).unwrap();
        tenths.resize(tenths.len().max(tenth + 1), 0);
        tenths[tenth] += 1;
    }
    let most = tenths.iter().max().unwrap();
    let back = accepted.iter().max().unwrap().duration_since(began);
    let later = tenths.get(10..).and_then(|later| later.iter().max()).copied().unwrap_or_default();
    println!(
        "{CLIENTS} clients, the server away for {outage:?}: all back after {back:.1?}, {} attempts; within 100 ms at most \
         {most}, after the first second at most {later}",
        attempts.len()
    );
    let begin: Vec<String> = tenths.iter().take(20).map(usize::to_string).collect();
    println!("attempts in each 100 ms of the first two seconds: {}", begin.join(" "));
}
