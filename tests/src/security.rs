//! A listener with TLS and passwords for the tests' broker.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::broker::Listener;

const STORE_PASSWORD: &str = "of-the-store";

/// The listener, which only `USER` may use.
pub struct Security {
    pub port: u16,
    dir: TempDir,
}

impl Security {
    pub const USER: &str = "sluicebox";
    pub const PASSWORD: &str = "of the user";

    /// Makes a key with its certificate, for this machine, by the JDK's `keytool`.
    pub fn create() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let security = Self { port, dir: TempDir::with_prefix("sluicebox-keys-")? };
        let of_key =
            ["-keyalg", "EC", "-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1", "-validity", "2"];
        security.keytool("-genkeypair", &of_key)?;
        let certificate = security.certificate();
        let file = certificate.to_str().context("a temporary folder has a plain name")?;
        security.keytool("-exportcert", &["-rfc", "-file", file])?;
        Ok(security)
    }

    /// What clients trust, as PEM.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// `host:port`.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn listener(&self) -> Listener {
        let Self { port, .. } = *self;
        Listener { name: "SASL_SSL", port, advertised: port, properties: self.properties() }
    }

    fn properties(&self) -> String {
        let (user, password) = (Self::USER, Self::PASSWORD);
        format!(
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
             required user_{user}=\"{password}\";
listener.name.sasl_ssl.ssl.keystore.type=PKCS12
listener.name.sasl_ssl.ssl.keystore.location={}
listener.name.sasl_ssl.ssl.keystore.password={STORE_PASSWORD}
",
            self.store().display()
        )
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("keys.p12")
    }

    fn keytool(&self, order: &str, arguments: &[&str]) -> Result<()> {
        let mut keytool = Command::new("keytool");
        keytool.args([order, "-alias", "broker", "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
        let output = keytool.arg("-keystore").arg(self.store()).args(arguments).output();
        let output = output.context("cannot run `keytool`: install a Java development kit, 17 or newer")?;
        ensure!(output.status.success(), "keytool {order}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(fs::metadata(self.store()).map(|_| ())?)
    }
}
