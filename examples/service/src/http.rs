//! What comes in and goes out over HTTP.

use crate::{
    batcher::Job,
    gray::Gray,
    lane::{Answer, Shape},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use std::{
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{
        mpsc::{Sender, error::TrySendError},
        oneshot,
    },
    time::{Instant, timeout},
};

/// A PNG of 8x8 pixels has some hundred bytes.
const MAX_BODY: usize = 64 << 10;

/// Larger pictures are not even decoded.
const MAX_PIXELS: u64 = 1 << 12;

/// How long a client may take to send its picture.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

const USAGE: &str = "\
Post a PNG of a handwritten digit, 8x8 pixels, bright ink on dark paper:

  curl --data-binary @examples/assets/digits/images/0013_3.png http://HOST/classify

GET /health tells what was done so far.
";

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// How many pictures were put into the queue, how many of them have got an answer, how many of these were that a device has failed, and
/// for how many the client did not stay.
#[derive(Default)]
pub struct Counts {
    pub accepted: AtomicU64,
    pub answered: AtomicU64,
    pub failed: AtomicU64,
    pub left: AtomicU64,
}

/// A picture in the queue, until it is answered. When its client goes away, the request is dropped where it waits, and this with it.
struct Accepted {
    counts: Arc<Counts>,
    answered: bool,
}

impl Accepted {
    fn new(counts: &Arc<Counts>) -> Accepted {
        counts.accepted.fetch_add(1, Ordering::SeqCst);
        Accepted { counts: counts.clone(), answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let count = if self.answered { &self.counts.answered } else { &self.counts.left };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
pub struct Service {
    jobs: Sender<Job>,
    shape: Shape,
    counts: Arc<Counts>,
}

/// Why there is no answer: the status, and what to do.
struct Refusal(StatusCode, String);

#[derive(Serialize)]
struct Problem {
    error: String,
}

#[derive(Serialize)]
struct Health {
    accepted: u64,
    answered: u64,
    failed: u64,
    left: u64,
    queued: usize,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, error) = self;
        let mut response = (status, Json(Problem { error })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Service {
    /// Puts pictures of that shape into a queue.
    pub fn new(jobs: Sender<Job>, shape: Shape) -> Service {
        Service { jobs, shape, counts: Arc::default() }
    }

    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(USAGE))
            .route("/classify", post(classify))
            .route("/health", get(health))
            .fallback(async || Refusal(StatusCode::NOT_FOUND, "there is /classify, /health and /".into()))
            .method_not_allowed_fallback(async || {
                Refusal(StatusCode::METHOD_NOT_ALLOWED, "POST pictures to /classify, GET the rest".into())
            })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }

    fn decode(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let Shape { width, height } = self.shape;
        if body.is_empty() {
            return Err(Refusal(
                StatusCode::BAD_REQUEST,
                "the body is empty: send a PNG file as the body".into(),
            ));
        }
        if !body.starts_with(PNG_SIGNATURE) {
            return Err(Refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "this is no PNG file: send one as the body, as it is, not as a form".into(),
            ));
        }
        let picture = Gray::decode(Cursor::new(body), MAX_PIXELS).map_err(|error| {
            let text =
                format!("the PNG cannot be decoded: {error}; send a whole file of {width}x{height} pixels");
            Refusal(StatusCode::UNPROCESSABLE_ENTITY, text)
        })?;
        if (picture.width, picture.height) != (width, height) {
            let text = format!(
                "the picture has {}x{} pixels, and the model takes {width}x{height}: scale it down",
                picture.width, picture.height
            );
            return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Ok(picture.pixels)
    }
}

async fn classify(State(service): State<Service>, request: Request) -> Result<Json<Answer>, Refusal> {
    let body = timeout(BODY_PATIENCE, Bytes::from_request(request, &()))
        .await
        .map_err(|_| Refusal(StatusCode::REQUEST_TIMEOUT, format!("no picture within {BODY_PATIENCE:?}")))?
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("send a picture of at most {MAX_BODY} bytes"))
            }
            status => Refusal(status, rejection.body_text()),
        })?;
    let pixels = service.decode(&body)?;
    let (reply, answer) = oneshot::channel();
    // Never waits: a queue that is full is for the client to know.
    service.jobs.try_send(Job { pixels, since: Instant::now(), reply }).map_err(|error| {
        let text = match error {
            TrySendError::Full(_) => "too many pictures are waiting: try again in a second",
            TrySendError::Closed(_) => "all devices have failed: try again when the service was restarted",
        };
        Refusal(StatusCode::SERVICE_UNAVAILABLE, text.into())
    })?;
    let accepted = Accepted::new(&service.counts);
    let answer = answer.await;
    accepted.answered();
    let refusal = match answer {
        Ok(Ok(answer)) => return Ok(Json(answer)),
        Ok(Err(error)) => {
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the device has failed: try again ({error})"))
        }
        // The batcher has ended: no device is left.
        Err(_) => Refusal(StatusCode::SERVICE_UNAVAILABLE, "all devices have failed".into()),
    };
    service.counts.failed.fetch_add(1, Ordering::SeqCst);
    Err(refusal)
}

async fn health(State(service): State<Service>) -> Json<Health> {
    Json(Health {
        accepted: service.counts.accepted.load(Ordering::SeqCst),
        answered: service.counts.answered.load(Ordering::SeqCst),
        failed: service.counts.failed.load(Ordering::SeqCst),
        left: service.counts.left.load(Ordering::SeqCst),
        queued: service.jobs.max_capacity() - service.jobs.capacity(),
    })
}
