//! `/metrics` and `/health` over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::health::{Health, Status};
use super::metrics::Metrics;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot serve metrics on {address}: {source}. Choose another address in `http`, or remove it")]
    Bind { address: SocketAddr, source: std::io::Error },
}

/// A running server. It stops when it is dropped; [`stop`](Self::stop) waits for open requests.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Binds `address` (port 0 takes a free one) and serves on the current tokio runtime.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<Server, HttpError> {
    let bind = |source| HttpError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(show_health))
        .with_state(Shared { metrics, health });
    let task = tokio::spawn(async move {
        // Told to stop, or the handle is gone: both end it.
        let stopped = async { drop(stopped.await) };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    tracing::info!(%address, "serving /metrics and /health");
    Ok(Server { address, stop, task })
}

impl Server {
    /// The address that was bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new requests and waits until those under way are answered.
    pub async fn stop(self) {
        drop(self.stop);
        // Only a panic of the server itself is an error here, and it has nothing left to lose.
        drop(self.task.await);
    }
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match shared.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A worker that is stopping should get no more traffic; in every other state the document itself tells.
async fn show_health(State(shared): State<Shared>) -> Response {
    let document = shared.health.document();
    let code = match document.status {
        Status::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        Status::Starting | Status::Ok | Status::Degraded => StatusCode::OK,
    };
    (code, Json(document)).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::health::Stage;
    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn started() -> (Server, Arc<Health>) {
        let metrics = Arc::new(Metrics::new(BTreeMap::new()));
        let health = Arc::new(Health::new(metrics.clone()));
        let server = serve("127.0.0.1:0".parse().unwrap(), metrics, health.clone()).await.unwrap();
        (server, health)
    }

    #[tokio::test]
    async fn metrics_and_health_are_served_until_it_is_stopped() {
        let (server, health) = started().await;
        let address = server.address();
        assert_ne!(address.port(), 0);

        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("openmetrics-text"), "{answer}");
        assert!(answer.contains("sluicebox_records_total 0\n") && answer.ends_with("# EOF\n"), "{answer}");
        let answer = get(address, "/health").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"starting""#), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        health.set_stage(Stage::Stopping);
        assert!(get(address, "/health").await.starts_with("HTTP/1.1 503"));

        server.stop().await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let (server, health) = started().await;
        let metrics = Arc::new(Metrics::new(BTreeMap::new()));
        let error = serve(server.address(), metrics, health).await.unwrap_err().to_string();
        assert!(error.contains(&server.address().to_string()), "{error}");
    }
}
