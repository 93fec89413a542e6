//! A line to a Kafka broker that can be cut where a transaction is ended.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Kafka's number of the request that ends a transaction.
const END_TXN: i16 = 26;

/// Where the line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The request does not arrive.
    Request,
    /// It arrives, and its answer does not.
    Answer,
}

/// Forwards connections on loopback, from a free port until the process ends.
#[derive(Debug, Clone)]
pub struct Line {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The broker's port.
    to: Option<u16>,
    armed: Option<(Cut, Duration)>,
    /// Nothing goes through before.
    dead_until: Option<Instant>,
}

impl Line {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let line = Self { port, state: Arc::default() };
        let accepting = line.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A refused connection is the client's to notice.
                let _ = accepting.forward(&client);
            }
        });
        Ok(line)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn lead_to(&self, port: u16) {
        self.lock().to = Some(port);
    }

    /// Cuts the line the next time that a transaction is ended. It is dead for so long.
    pub fn cut_next(&self, cut: Cut, dead_for: Duration) {
        self.lock().armed = Some((cut, dead_for));
    }

    /// Whether it was cut since it was told to.
    pub fn was_cut(&self) -> bool {
        self.lock().armed.is_none()
    }

    fn forward(&self, client: &TcpStream) -> io::Result<()> {
        let to = self.lock().to.ok_or(io::ErrorKind::NotConnected)?;
        if self.is_dead() {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(("127.0.0.1", to))?;
        let (from, into) = (client.try_clone()?, server.try_clone()?);
        let line = self.clone();
        thread::spawn(move || {
            let _ = line.requests(&from, &into);
            hang_up(&from, &into);
        });
        let (from, into, line) = (server, client.try_clone()?, self.clone());
        thread::spawn(move || {
            let _ = line.answers(&from, &into);
            hang_up(&from, &into);
        });
        Ok(())
    }

    fn requests(&self, from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        loop {
            let request = frame(from)?;
            let key = request.get(4..6).and_then(|key| key.try_into().ok()).map(i16::from_be_bytes);
            let cut = self.lock().armed.take_if(|_| key == Some(END_TXN));
            if let Some((cut, dead_for)) = cut {
                if cut == Cut::Answer {
                    // Nobody reads the answer: the other direction is dead as well.
                    self.die(dead_for);
                    to.write_all(&request)?;
                    // The broker drops what comes with the end of a connection.
                    thread::sleep(Duration::from_millis(500));
                }
                self.die(dead_for);
            }
            if self.is_dead() {
                return Ok(());
            }
            to.write_all(&request)?;
        }
    }

    fn answers(&self, from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        loop {
            let answer = frame(from)?;
            if self.is_dead() {
                return Ok(());
            }
            to.write_all(&answer)?;
        }
    }

    fn die(&self, dead_for: Duration) {
        self.lock().dead_until = Some(Instant::now() + dead_for);
    }

    fn is_dead(&self) -> bool {
        self.lock().dead_until.is_some_and(|until| Instant::now() < until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hang_up(one: &TcpStream, other: &TcpStream) {
    // Either may be gone already.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// A request or an answer, with the four bytes of its length.
fn frame(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; 4 + u32::from_be_bytes(length) as usize];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}
