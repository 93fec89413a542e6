//! Brokers that want TLS and a password.

use std::fs;

use anyhow::{Context, Result};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::security::Security;

const FILE: &str = include_str!("../pipelines/bronze.yaml");

/// By librdkafka's names; the password from a file, as secrets are mounted.
const SETTINGS: &str = "    settings:
      security.protocol: SASL_SSL
      sasl.mechanism: PLAIN
      sasl.username: sluicebox
      sasl.password: ${file:password}
      ssl.ca.location: ${CERTIFICATE}
";

/// Records come over TLS with the right password. With a wrong one, or a certificate that nobody vouches for, the check
/// fails and says that Kafka is out of reach; the password is in no message.
#[test]
fn a_secured_broker_is_read_with_the_right_password_only() -> Result<()> {
    let security = Security::create()?;
    let Some(broker) = Broker::secured(&security)? else { return Ok(()) };
    let topic = broker.create_topic("secured", 1)?;
    broker.send(&topic, 0, [r#"{"n": 1}"#, r#"{"n": 2}"#])?;

    let file = FILE.replace("    settings:\n", SETTINGS);
    let mut pipeline = Pipeline::with_file(&file, "secured", &broker, &topic, Settings::default())?;
    pipeline.set("BOOTSTRAP_SERVERS", &security.bootstrap_servers());
    let certificate = security.certificate();
    pipeline.set("CERTIFICATE", certificate.to_str().context("a plain path")?);
    let password = pipeline.folder().join("password");

    fs::write(&password, "a wrong one")?;
    let refused = pipeline.check().err().context("a wrong password")?.to_string();
    assert!(refused.contains("cannot reach Kafka") && !refused.contains("a wrong one"), "{refused}");

    fs::write(&password, Security::PASSWORD)?;
    pipeline.check()?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.rows("bronze")?, 2);

    pipeline.set("CERTIFICATE", "/etc/ssl/certs");
    let refused = pipeline.check().err().context("a certificate of nobody's")?.to_string();
    assert!(refused.contains("cannot reach Kafka"), "{refused}");
    pipeline.close()
}
