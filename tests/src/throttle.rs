//! A slow line to a server on this machine.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// What one piece may hold.
const PIECE: usize = 16 << 10;

/// Forwards connections, and lets only so many bytes a second through to the server, over all connections.
/// Answers come back at full speed.
pub struct Throttle {
    address: SocketAddr,
}

impl Throttle {
    /// Listens on a free port until the process ends.
    pub fn start(server: u16, bytes_per_second: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let line = Arc::new(Line { bytes_per_second, free_at: Mutex::new(Instant::now()) });
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A refused connection is the client's to notice.
                let _ = forward(&client, server, &line);
            }
        });
        Ok(Self { address })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

struct Line {
    bytes_per_second: u64,
    /// When all bytes that were let onto the line so far have passed it.
    free_at: Mutex<Instant>,
}

impl Line {
    fn pass(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let done = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + takes;
            *free_at
        };
        thread::sleep(done.saturating_duration_since(Instant::now()));
    }
}

fn forward(client: &TcpStream, server: u16, line: &Arc<Line>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    let (from, to, line) = (client.try_clone()?, server.try_clone()?, line.clone());
    thread::spawn(move || copy(from, to, |bytes| line.pass(bytes)));
    let (from, to) = (server, client.try_clone()?);
    thread::spawn(move || copy(from, to, |_| {}));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(usize)) {
    let mut piece = vec![0; PIECE];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        pass(bytes);
        if to.write_all(&piece[..bytes]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
