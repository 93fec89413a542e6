//! Registries that misbehave, and those that want to see credentials: what is pulled is whole and the right thing, or an
//! error says why not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod server;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sluicebox::registry::{
    Artifact, Digest, DockerConfig, Reference, Registries, RegistryError, RegistrySettings,
};

use self::server::{Answer, Asked, Server, answer};

const COMPONENT: &[u8] = b"a component";
const LARGEST: u64 = 1000;

fn manifest_of(component: &[u8]) -> Vec<u8> {
    let layer = json!({
        "mediaType": "application/wasm", "digest": Digest::of(component).to_string(), "size": component.len()
    });
    json!({ "schemaVersion": 2, "layers": [layer] }).to_string().into_bytes()
}

/// A registry that has the component under every tag.
fn good(asked: &Asked) -> Answer {
    match asked.path.as_str() {
        path if path.contains("/manifests/") => answer(200, manifest_of(COMPONENT)),
        path if path.ends_with(&format!("/blobs/{}", Digest::of(COMPONENT))) => answer(200, COMPONENT),
        _ => answer(404, r#"{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown"}]}"#),
    }
}

fn registries(cache: Option<&Path>, docker: DockerConfig, offline: bool) -> Registries {
    let cache = cache.map(Path::to_owned);
    Registries::new(RegistrySettings { cache, offline, plain: Vec::new(), docker, largest: LARGEST })
}

fn reference(server: &Server) -> Reference {
    format!("oci://{}/team/too-hot:1", server.host()).parse().unwrap()
}

async fn pull(registries: &Registries, reference: &Reference) -> Result<Vec<u8>, RegistryError> {
    let resolved = registries.resolve(reference).await?;
    Ok(registries.component(reference, &resolved.component).await?.to_vec())
}

async fn pull_anonymously(server: &Server) -> Result<Vec<u8>, RegistryError> {
    pull(&registries(None, DockerConfig::default(), false), &reference(server)).await
}

#[track_caller]
fn assert_says<T>(outcome: Result<T, RegistryError>, says: &str) {
    let Err(error) = outcome else { panic!("nothing was wrong, instead of: {says}") };
    let error = error.to_string();
    assert!(error.contains(says), "{error:?} does not say {says:?}");
}

#[tokio::test]
async fn what_breaks_off_or_fails_for_a_moment_is_asked_for_again() {
    let server = Server::start(|before, asked| match before {
        0 => answer(503, "starting"),
        1 => good(asked).cut_short(),
        2 => answer(429, "").header("Retry-After", "0"),
        4 => good(asked).cut_short(),
        _ => good(asked),
    });
    assert_eq!(pull_anonymously(&server).await.unwrap(), COMPONENT);
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn what_always_breaks_off_is_an_error_in_the_end() {
    let server = Server::start(|_, asked| match asked.path.contains("/blobs/") {
        true => good(asked).cut_short(),
        false => good(asked),
    });
    assert_says(pull_anonymously(&server).await, "broke off");
    assert_eq!(server.asked().len(), 5, "one manifest, and four attempts at the component");
}

#[tokio::test]
async fn what_is_not_what_was_named_is_refused() {
    let server = Server::start(|_, asked| match asked.path.contains("/blobs/") {
        true => answer(200, "a component that was changed"),
        false => good(asked),
    });
    assert_says(pull_anonymously(&server).await, "instead of sha256:");
    let by_digest = reference(&server).at(Digest::of(b"another manifest"));
    let folder = tempfile::tempdir().unwrap();
    let pulled = pull(&registries(Some(folder.path()), DockerConfig::default(), false), &by_digest).await;
    assert_says(pulled, "the manifest of oci://");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it is kept");
}

#[tokio::test]
async fn answers_have_limits() {
    let large = vec![b' '; LARGEST as usize + 1];
    let digest = Digest::of(&large);
    let manifest = String::from_utf8(manifest_of(&large)).unwrap();
    let (claims, lies) = (manifest.clone(), manifest.replace("1001", "1"));
    for (manifest, says) in [(claims, "1001 bytes, and 1000 is the most"), (lies, "larger than 1000 bytes")] {
        let (large, digest) = (large.clone(), digest.clone());
        let server = Server::start(move |_, asked| match asked.path.ends_with(&digest.to_string()) {
            true => answer(200, large.clone()),
            false => answer(200, manifest.clone()),
        });
        assert_says(pull_anonymously(&server).await, says);
    }
    for says_its_length in [true, false] {
        let server = Server::start(move |_, _| {
            let large = answer(200, vec![b' '; (4 << 20) + 1]);
            if says_its_length { large } else { large.without_length() }
        });
        assert_says(pull_anonymously(&server).await, "larger than 4194304 bytes");
    }
}

#[tokio::test]
async fn what_is_no_plugin_is_told_apart_from_what_is_not_there() {
    let documents: [(u16, &str, &str); 6] = [
        (404, r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#, "is not in the registry"),
        (200, "<html>welcome</html>", "its manifest cannot be read"),
        (200, r#"{"schemaVersion": 2, "manifests": []}"#, "index of several manifests"),
        (200, r#"{"schemaVersion": 2, "layers": [null]}"#, "its manifest cannot be read"),
        (200, "\u{0}\u{1}", "its manifest cannot be read"),
        (418, r#"{"errors": [{"message": "I am a teapot"}]}"#, "418"),
    ];
    for (status, body, says) in documents {
        let server = Server::start(move |_, _| answer(status, body));
        assert_says(pull_anonymously(&server).await, says);
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let reference: Reference = "oci://127.0.0.1:1/a:b".parse().unwrap();
    let pulled = pull(&registries(None, DockerConfig::default(), false), &reference).await;
    assert_says(pulled, "cannot reach the registry 127.0.0.1:1");
}

#[tokio::test]
async fn what_was_pulled_once_needs_no_network_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, asked| good(asked));
    let tag = reference(&server);
    let online = registries(Some(folder.path()), DockerConfig::default(), false);
    let resolved = online.resolve(&tag).await.unwrap();
    let by_digest = tag.at(resolved.manifest.clone());
    let offline = registries(Some(folder.path()), DockerConfig::default(), true);
    assert_says(offline.component(&tag, &resolved.component).await, "SLUICEBOX_OFFLINE");
    assert_eq!(pull(&online, &tag).await.unwrap(), COMPONENT);
    let asked = server.asked().len();
    assert_eq!(pull(&offline, &by_digest).await.unwrap(), COMPONENT);
    assert_eq!(offline.component(&tag, &resolved.component).await.unwrap(), COMPONENT);
    assert_eq!(pull(&online, &by_digest).await.unwrap(), COMPONENT);
    assert_eq!(server.asked().len(), asked);
    assert_says(pull(&offline, &tag).await, "the manifest of oci://");
    // What was damaged meanwhile is pulled again.
    std::fs::write(folder.path().join(resolved.component.hex()), "damaged").unwrap();
    assert_eq!(pull(&online, &by_digest).await.unwrap(), COMPONENT);
    assert_eq!(server.asked().len(), asked + 1);
}

fn login(host: &str, password: &str) -> DockerConfig {
    let auths = json!({ "auths": { host: { "username": "ann", "password": password } } });
    DockerConfig { text: Some(auths.to_string()), file: None }
}

/// "ann:word" in Base64.
const ANN: &str = "Basic YW5uOndvcmQ=";

/// Gives tokens at `/token` to ann, and lets only those in who have one.
fn with_tokens(host: &str, asked: &Asked) -> Answer {
    if asked.path.starts_with("/token") {
        let refused = answer(401, r#"{"errors": [{"message": "who are you"}]}"#);
        let is_ann = asked.authorization.as_deref() == Some(ANN);
        return if is_ann { answer(200, r#"{"token": "let-me-in"}"#) } else { refused };
    }
    if asked.authorization.as_deref() == Some("Bearer let-me-in") {
        return good(asked);
    }
    let challenge =
        format!(r#"Bearer realm="http://{host}/token",service="fake",scope="repository:team/too-hot:pull""#);
    answer(401, "").header("WWW-Authenticate", &challenge)
}

/// Says its own address, which it does not know before it is started.
fn token_server() -> Server {
    let port = Arc::new(AtomicUsize::new(0));
    let known = port.clone();
    let server = Server::start(move |_, asked| {
        with_tokens(&format!("127.0.0.1:{}", known.load(Ordering::SeqCst)), asked)
    });
    let found = server.host().rsplit_once(':').unwrap().1.parse().unwrap();
    port.store(found, Ordering::SeqCst);
    server
}

#[tokio::test]
async fn tokens_are_fetched_with_the_credentials_of_docker() {
    let server = token_server();
    let registries = registries(None, login(&server.host(), "word"), false);
    assert_eq!(pull(&registries, &reference(&server)).await.unwrap(), COMPONENT);
    let tokens =
        server.asked().iter().filter(|asked| asked.path.starts_with("/token")).cloned().collect::<Vec<_>>();
    assert!(tokens[0].path.contains("service=fake"), "{tokens:?}");
    assert!(tokens[0].path.contains("scope=repository%3Ateam%2Ftoo-hot%3Apull"), "{tokens:?}");
}

#[tokio::test]
async fn missing_and_wrong_credentials_are_told_apart() {
    let server = token_server();
    assert_says(pull_anonymously(&server).await, "wants credentials for `team/too-hot`");
    let registries = registries(None, login(&server.host(), "wrong"), false);
    let refused = pull(&registries, &reference(&server)).await;
    assert_says(refused, "does not let `ann` pull from `team/too-hot` (who are you)");
    let server = Server::start(|_, _| answer(401, "").header("WWW-Authenticate", "Basic realm=x"));
    assert_says(pull_anonymously(&server).await, "wants credentials");
    let server = Server::start(|_, _| answer(401, "").header("WWW-Authenticate", "Negotiate"));
    assert_says(pull_anonymously(&server).await, "wants credentials");
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirection_elsewhere() {
    let store = Server::start(|_, _| answer(200, COMPONENT));
    let elsewhere = format!("http://localhost:{}/blob", store.host().rsplit_once(':').unwrap().1);
    let server =
        Server::start(move |_, asked| match (&asked.authorization, asked.path.contains("/blobs/")) {
            (None, _) => answer(401, "").header("WWW-Authenticate", "Basic realm=x"),
            (Some(_), true) => answer(307, "").header("Location", &elsewhere),
            (Some(_), false) => good(asked),
        });
    let registries = registries(None, login(&server.host(), "word"), false);
    assert_eq!(pull(&registries, &reference(&server)).await.unwrap(), COMPONENT);
    assert_eq!(server.asked()[1].authorization.as_deref(), Some(ANN));
    let asked = store.asked();
    assert_eq!((asked.len(), &asked[0].authorization), (1, &None));
}

/// What a registry or a place that it redirects to can ask for, to be told what opens another.
#[tokio::test]
async fn credentials_are_sent_to_nobody_else_in_the_clear_or_by_a_redirection() {
    let thief = Server::start(|_, _| answer(200, r#"{"token": "x"}"#));
    let port = thief.host().rsplit_once(':').unwrap().1.to_owned();
    // The download's place asks in the registry's stead.
    let asks = format!(r#"Bearer realm="http://{}/token""#, thief.host());
    let store = Server::start(move |_, _| answer(401, "a page").header("WWW-Authenticate", &asks));
    let elsewhere = format!("http://{}/blob", store.host());
    let server = Server::start(move |_, asked| match asked.path.contains("/blobs/") {
        true => answer(307, "").header("Location", &elsewhere),
        false => good(asked),
    });
    let registries = registries(None, login(&server.host(), "word"), false);
    assert_says(pull(&registries, &reference(&server)).await, "answered 401 to GET http://");
    // The place for tokens sends on, with what it was given.
    let tokens = Server::start(move |_, _| {
        answer(307, "").header("Location", &format!("http://localhost:{port}/token"))
    });
    let challenge = format!(r#"Bearer realm="http://{}/token""#, tokens.host());
    let server = Server::start(move |_, _| answer(401, "").header("WWW-Authenticate", &challenge));
    let identity = json!({ "auths": { server.host(): { "identitytoken": "secret" } } });
    let docker = DockerConfig { text: Some(identity.to_string()), file: None };
    let registries = self::registries(None, docker, false);
    assert_says(pull(&registries, &reference(&server)).await, "307");
    let asked = &tokens.asked()[0];
    assert_eq!((asked.method.as_str(), asked.authorization.as_ref()), ("POST", None));
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=secret"), "{form}");
    // A registry without TLS sends to a host that is not this machine.
    let far = Server::start(|_, _| {
        answer(401, "").header("WWW-Authenticate", r#"Bearer realm="http://tokens.example/token""#)
    });
    let registries = self::registries(None, login(&far.host(), "word"), false);
    assert_says(pull(&registries, &reference(&far)).await, "in the clear");
    assert_eq!(thief.asked().len(), 0);
}

#[tokio::test]
async fn a_push_sends_what_is_missing_and_then_the_manifest() {
    let server = Server::start(|_, asked| match asked.method.as_str() {
        "HEAD" => answer(404, ""),
        "POST" => answer(202, "").header("Location", "/upload?state=1"),
        "PUT" => answer(201, ""),
        _ => answer(405, ""),
    });
    let artifact = Artifact {
        name: "too-hot".to_owned(),
        version: "1.0.0".to_owned(),
        summary: String::new(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        imports: Vec::new(),
        exports: Vec::new(),
    };
    let registries = registries(None, DockerConfig::default(), false);
    let digest = registries.push(&reference(&server), &artifact, COMPONENT.into()).await.unwrap();
    let asked = server.asked();
    let methods: Vec<&str> = asked.iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT", "HEAD", "POST", "PUT", "PUT"]);
    assert!(asked[2].path.starts_with("/upload?state=1&digest=sha256%3A"), "{}", asked[2].path);
    assert_eq!(asked[2].body, COMPONENT);
    assert_eq!(asked[6].path, "/v2/team/too-hot/manifests/1");
    assert_eq!(Digest::of(&asked[6].body), digest);

    let full = Server::start(|_, asked| match asked.method.as_str() {
        "HEAD" => answer(200, ""),
        "PUT" => answer(201, ""),
        _ => answer(405, ""),
    });
    assert_eq!(registries.push(&reference(&full), &artifact, COMPONENT.into()).await.unwrap(), digest);
    let methods: Vec<String> = full.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["HEAD", "HEAD", "PUT"], "what is there is not sent again");

    let refusing = Server::start(|_, asked| match asked.method.as_str() {
        "HEAD" => answer(404, ""),
        _ => answer(403, r#"{"errors": [{"code": "DENIED", "message": "read only"}]}"#),
    });
    let docker = login(&refusing.host(), "word");
    let registries = self::registries(None, docker, false);
    let refused = registries.push(&reference(&refusing), &artifact, COMPONENT.into()).await;
    assert_says(refused, "does not let `ann` push to `team/too-hot` (read only)");
}
