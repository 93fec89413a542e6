//! A bucket of an emulator, which the test starts and stops.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::python;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Azurite's program; `cargo xtask test` sets it.
const AZURITE: &str = "SLUICEBOX_AZURITE";
/// The account that every emulator of Azure has, and its key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Whose buckets are emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// By Moto's server.
    S3,
    /// By Azurite.
    Azure,
}

impl Cloud {
    /// The pipeline file with the lake in the bucket `lake` instead of its folder; `${ENDPOINT}` is where its cloud is.
    pub fn in_bucket(self, pipeline_file: &str) -> String {
        let (lake, storage) = match self {
            Self::S3 => (
                "s3://lake/lake/",
                "aws_endpoint: \"${ENDPOINT}\"\n  aws_allow_http: true\n  aws_region: us-east-1\n  \
                 aws_access_key_id: test\n  aws_secret_access_key: test\n"
                    .to_owned(),
            ),
            Self::Azure => (
                "az://lake/lake/",
                format!(
                    "azure_storage_endpoint: \"${{ENDPOINT}}\"\n  azure_allow_http: true\n  \
                     azure_storage_account_name: {ACCOUNT}\n  azure_storage_account_key: {KEY}\n"
                ),
            ),
        };
        format!("{}storage:\n  {storage}", pipeline_file.replace("./lake/", lake))
    }

    /// Where an emulator is that listens there.
    pub fn endpoint(self, port: u16) -> String {
        match self {
            Self::S3 => format!("http://127.0.0.1:{port}"),
            Self::Azure => format!("http://127.0.0.1:{port}/{ACCOUNT}"),
        }
    }

    fn emulator(self, port: u16) -> Result<Command> {
        let port = port.to_string();
        Ok(match self {
            Self::S3 => {
                let mut moto = Command::new(python::interpreter()?);
                moto.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]);
                moto
            }
            Self::Azure => {
                let program = std::env::var_os(AZURITE)
                    .with_context(|| format!("{AZURITE} is not set: run `cargo xtask test`"))?;
                let mut azurite = Command::new(program);
                azurite.args(["--blobHost", "127.0.0.1", "--blobPort", &port, "--inMemoryPersistence"]);
                azurite.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
                azurite
            }
        })
    }
}

/// The bucket. Its emulator ends when this is dropped, and the objects with it.
pub struct Bucket {
    cloud: Cloud,
    name: String,
    port: u16,
    emulator: Child,
}

impl Bucket {
    /// Starts an emulator on a free port, with one empty bucket.
    pub fn start(cloud: Cloud, name: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut emulator = cloud.emulator(port)?;
        let emulator = emulator.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let bucket = Self { cloud, name: name.to_owned(), port, emulator };
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match bucket.create() {
                Ok(()) => return Ok(bucket),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("the emulator of {cloud:?}")));
                }
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

    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let endpoint = self.cloud.endpoint(self.port);
        Ok(match self.cloud {
            Cloud::S3 => {
                let builder = AmazonS3Builder::new().with_bucket_name(&self.name).with_endpoint(endpoint);
                let builder = builder.with_allow_http(true).with_region("us-east-1");
                Arc::new(builder.with_access_key_id("test").with_secret_access_key("test").build()?)
            }
            Cloud::Azure => {
                let builder = MicrosoftAzureBuilder::new().with_container_name(&self.name);
                let builder = builder.with_endpoint(endpoint).with_allow_http(true);
                Arc::new(builder.with_account(ACCOUNT).with_access_key(KEY).build()?)
            }
        })
    }

    /// object_store makes no buckets.
    fn create(&self) -> Result<()> {
        match self.cloud {
            Cloud::S3 => self.create_in_s3(),
            Cloud::Azure => python::create_container(self.port, &self.name, KEY),
        }
    }

    /// The emulator asks for no signature.
    fn create_in_s3(&self) -> Result<()> {
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

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
