//! An S3 bucket of an emulator, which the test starts and stops.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::python;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The bucket. Its emulator ends when this is dropped, and the objects with it.
pub struct Bucket {
    name: String,
    port: u16,
    emulator: Child,
}

impl Bucket {
    /// Starts Moto's server on a free port, with one empty bucket.
    pub fn start(name: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut emulator = Command::new(python::interpreter()?);
        emulator.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let emulator = emulator.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let bucket = Self { name: name.to_owned(), port, emulator };
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match bucket.create() {
                Ok(()) => return Ok(bucket),
                Err(error) if Instant::now() > deadline => return Err(error.context("the emulator of S3")),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Copies every object to a file under `directory`.
    pub fn download(&self, directory: &Path) -> Result<()> {
        let store = self.store()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let objects: Vec<_> = store.list(None).try_collect().await?;
            ensure!(!objects.is_empty(), "the bucket is empty");
            for object in objects {
                let file = directory.join(object.location.as_ref());
                std::fs::create_dir_all(file.parent().context("an object has a name")?)?;
                std::fs::write(file, store.get(&object.location).await?.bytes().await?)?;
            }
            Ok(())
        })
    }

    fn store(&self) -> Result<AmazonS3> {
        let builder = AmazonS3Builder::new().with_bucket_name(&self.name).with_endpoint(endpoint(self.port));
        let builder = builder.with_allow_http(true).with_region("us-east-1");
        Ok(builder.with_access_key_id("test").with_secret_access_key("test").build()?)
    }

    /// object_store makes no buckets; the emulator asks for no signature.
    fn create(&self) -> Result<()> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let host = format!("127.0.0.1:{}", self.port);
        let request = format!("PUT /{} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n", self.name);
        connection.write_all(request.as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        match answer.lines().next() {
            Some(status) if status.contains(" 200 ") => Ok(()),
            status => bail!("no bucket was made: {status:?}"),
        }
    }
}

/// The pipeline file with the lake in the bucket `lake` instead of its folder; `${ENDPOINT}` is where S3 is.
pub fn in_bucket(pipeline_file: &str) -> String {
    const STORAGE: &str = r#"
storage:
  aws_endpoint: "${ENDPOINT}"
  aws_allow_http: true
  aws_region: us-east-1
  aws_access_key_id: test
  aws_secret_access_key: test
"#;
    pipeline_file.replace("./lake/", "s3://lake/lake/") + STORAGE
}

pub fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
