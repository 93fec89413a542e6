//! A registry on loopback that answers as a test says, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes that are promised and never come; `None` promises nothing.
    missing: Option<usize>,
}

pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), missing: Some(0) }
}

impl Answer {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Breaks off before its end.
    pub fn cut_short(mut self) -> Self {
        self.missing = Some(10);
        self
    }

    /// Does not say how long it is.
    pub fn without_length(mut self) -> Self {
        self.missing = None;
        self
    }
}

type Asking = Arc<Mutex<Vec<Asked>>>;

pub struct Server {
    port: u16,
    asked: Asking,
}

impl Server {
    /// `behaviour` answers each request, given how many there were before it. The thread ends with the test.
    pub fn start(behaviour: impl Fn(usize, &Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asking::default();
        let memory = asked.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that leaves early is its own business.
                let _ = serve(connection, &memory, &behaviour);
            }
        });
        Self { port, asked }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request for each connection.
fn serve(
    connection: TcpStream,
    memory: &Asking,
    behaviour: &impl Fn(usize, &Asked) -> Answer,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = Asked { method, path, authorization, body };
    let before = {
        let mut memory = memory.lock().unwrap();
        memory.push(asked.clone());
        memory.len() - 1
    };
    let answer = behaviour(before, &asked);
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(missing) = answer.missing {
        head += &format!("Content-Length: {}\r\n", answer.body.len() + missing);
    }
    head += "\r\n";
    let mut connection = connection;
    connection.write_all(head.as_bytes())?;
    if asked.method != "HEAD" {
        connection.write_all(&answer.body)?;
    }
    connection.flush()
}
