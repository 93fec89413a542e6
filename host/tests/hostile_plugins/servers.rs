//! HTTP servers on loopback, for the tests of what plugins may reach.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Answers every connection on a thread of its own until the test's process ends.
pub struct Server {
    pub port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Sends whoever asks for `/elsewhere` to that port of this machine.
    pub fn start(elsewhere: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || answer(connection, elsewhere));
            }
        });
        Self { port, asked }
    }

    /// Connections that came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One request a connection. Errors are the client's leaving.
fn answer(mut connection: TcpStream, elsewhere: u16) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let (mut line, mut length, mut host) = (String::new(), 0, String::new());
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?
            }
            Some((name, value)) if name.eq_ignore_ascii_case("host") => host = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let whole = |text: String| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len())
    };
    let response = match path.as_str() {
        "/hello?a=b" => whole("hello".to_owned()),
        "/host" => whole(host),
        "/length" => whole(format!("got {length}")),
        "/elsewhere" => format!(
            "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:{elsewhere}/\r\n\r\n"
        ),
        "/names-another" => {
            "HTTP/1.1 200 OK\r\nhost: other.example.com\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        "/claims" => "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_owned(),
        "/slow" => {
            thread::sleep(Duration::from_secs(30));
            return None;
        }
        "/drips" => {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").ok()?;
            loop {
                connection.write_all(b"x").ok()?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        "/endless" => {
            connection.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                connection.write_all(chunk.as_bytes()).ok()?;
            }
        }
        "/gone" => return None,
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    connection.write_all(response.as_bytes()).ok()
}
