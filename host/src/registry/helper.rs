//! Docker's credential helpers: programs that keep credentials in the keychain of an operating system or of a cloud.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::credentials::Credentials;

/// One may ask a cloud; none may hold up a worker.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_ANSWER: u64 = 1 << 20;

/// How a helper says that it has nothing for a server.
const NOTHING: &str = "credentials not found in native keychain";

/// What a helper gives as the name of somebody who logs in with a token.
const TOKEN_NAME: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// What `docker-credential-NAME` has for the server.
pub async fn ask(name: &str, server: &str) -> Result<Option<Credentials>, String> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err("no name of a helper".to_owned());
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| error.to_string())?;
    let answer = timeout(PATIENCE, answer(child, server)).await;
    let answer = answer.map_err(|_| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
    read(&answer.map_err(|error| error.to_string())?)
}

async fn answer(mut child: Child, server: &str) -> io::Result<Output> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not read says with its exit code what it wants.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut stdout = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_ANSWER).read_to_end(&mut stdout).await?;
    }
    Ok(Output { status: child.wait().await?, stdout, stderr: Vec::new() })
}

fn read(answer: &Output) -> Result<Option<Credentials>, String> {
    if !answer.status.success() {
        let told = String::from_utf8_lossy(&answer.stdout);
        return match told.trim() {
            NOTHING => Ok(None),
            told => {
                Err(format!("it failed ({}): {}", answer.status, told.chars().take(200).collect::<String>()))
            }
        };
    }
    let Helped { username, secret } = serde_json::from_slice(&answer.stdout)
        .map_err(|_| "it did not answer with `Username` and `Secret`".to_owned())?;
    Ok(Some(match username.as_str() {
        TOKEN_NAME => Credentials::Identity(secret),
        _ => Credentials::Password { name: username, password: secret },
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn answered(code: i32, text: &str) -> Result<Option<Credentials>, String> {
        read(&Output { status: ExitStatus::from_raw(code << 8), stdout: text.into(), stderr: Vec::new() })
    }

    #[test]
    fn answers_are_told_apart() {
        let login = r#"{"ServerURL": "a", "Username": "ann", "Secret": "word"}"#;
        let password = Credentials::Password { name: "ann".to_owned(), password: "word".to_owned() };
        assert!(answered(0, login).unwrap() == Some(password));
        let token = Credentials::Identity("t".to_owned());
        assert!(answered(0, r#"{"Username": "<token>", "Secret": "t"}"#).unwrap() == Some(token));
        assert!(answered(1, &format!("{NOTHING}\n")).unwrap().is_none());
        let Err(locked) = answered(1, "the keychain is locked") else { panic!("a locked keychain opens") };
        assert!(locked.contains("the keychain is locked"), "{locked}");
        assert!(
            answered(0, "secret").is_err_and(|what| !what.contains("secret") && what.contains("Username"))
        );
    }

    /// `cat` stands for a helper: what it is asked is what it says.
    #[tokio::test]
    async fn a_helper_is_asked_with_the_server_on_its_input() {
        let echo = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(answer(echo, "a server").await.unwrap().stdout, b"a server");
    }
}
