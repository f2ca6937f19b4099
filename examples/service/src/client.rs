//! A client of the service, for `load` and for the tests: one connection, kept open.

use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use ureq::{Agent, Error};

/// What the service says of a picture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    pub digit: usize,
    pub probability: f32,
    pub device: i32,
    pub batch: usize,
}

/// An answer of any kind.
#[derive(Debug)]
pub enum Reply {
    Digit(Answer),
    /// Another status, what the service says about it, and when to come again.
    Refused {
        status: u16,
        text: String,
        retry_after: Option<Duration>,
    },
}

pub struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    /// Of a service at `http://HOST:PORT`.
    pub fn new(url: &str) -> Client {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_idle_connections(1)
            .build();
        Client { agent: agent.into(), url: url.to_owned() }
    }

    /// Posts a picture. An error means that no answer came.
    pub fn classify(&self, png: &[u8]) -> Result<Reply, Error> {
        let mut response = self.agent.post(format!("{}/classify", self.url)).send(png)?;
        if response.status() == 200 {
            return Ok(Reply::Digit(response.body_mut().read_json()?));
        }
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Reply::Refused {
            status: response.status().as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            text: response.body_mut().read_to_string()?,
        })
    }
}

/// A picture, and the digit that is on it.
pub struct Picture {
    pub png: Vec<u8>,
    pub label: usize,
}

/// The test images of the digits model: `0042_7.png` shows a 7.
pub fn pictures(folder: &Path) -> io::Result<Vec<Picture>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|end| end == "png")))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let label = name.rsplit_once('_').and_then(|(_, digit)| digit.parse().ok());
            let label = label.ok_or_else(|| io::Error::other(format!("{name} does not tell its digit")))?;
            Ok(Picture { png: fs::read(path)?, label })
        })
        .collect()
}

/// Where they are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/digits/images")
}
