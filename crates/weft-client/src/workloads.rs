//! Calls about workloads: submit, follow, explain, end, fetch.

use crate::request::{Call, Client, Content, escape, query};
use crate::{ClientError, Events, Intent};
use http_body_util::BodyExt as _;
use hyper::Method;
use std::path::Path;
use tokio::io::AsyncWriteExt as _;
use weft_api::problem::Code;
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{DryRun, Event, LogLine, Metrics, OutputFile, Stop, Submit, Wait, Workload};

/// Which workloads to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In this state only.
    pub state: Option<String>,
    /// Of this queue only.
    pub queue: Option<String>,
    /// Also those that ended.
    pub all: bool,
}

/// Which lines of a log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Written at or after this, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Of this member only.
    pub member: Option<u32>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Behind this one only.
    pub after: Option<u64>,
}

impl Client {
    /// Submits a workload.
    pub async fn submit(
        &self,
        spec: &WorkloadSpec,
        intent: &Intent,
    ) -> Result<Workload, ClientError> {
        let body = Submit { spec: spec.clone() };
        self.put(Method::POST, "workloads", &body, intent).await
    }

    /// What would become of a workload now.
    pub async fn dry_run(
        &self,
        spec: &WorkloadSpec,
        intent: &Intent,
    ) -> Result<DryRun, ClientError> {
        let body = Submit { spec: spec.clone() };
        self.put(Method::POST, "workloads?dry_run=true", &body, intent).await
    }

    /// Every workload of a listing.
    pub async fn workloads(&self, listing: &Listing) -> Result<Vec<Workload>, ClientError> {
        let query = query(&[
            ("state", listing.state.clone()),
            ("queue", listing.queue.clone()),
            ("all", listing.all.then(|| "true".to_owned())),
        ]);
        self.all(&format!("workloads{query}")).await
    }

    /// One workload, by id or name.
    pub async fn workload(&self, id: &str) -> Result<Workload, ClientError> {
        self.get(&workload_path(id, "")).await
    }

    /// Forgets a workload that ended.
    pub async fn delete(&self, id: &str, intent: &Intent) -> Result<(), ClientError> {
        let _: serde_json::Value = self.act(Method::DELETE, &workload_path(id, ""), intent).await?;
        Ok(())
    }

    /// Ends a workload.
    pub async fn stop(
        &self,
        id: &str,
        now: bool,
        intent: &Intent,
    ) -> Result<Workload, ClientError> {
        self.put(Method::POST, &workload_path(id, "/stop"), &Stop { now }, intent).await
    }

    /// A workload on each change of it, until it has ended.
    pub async fn watch(&self, id: &str) -> Result<Events<Workload>, ClientError> {
        Events::open(self, workload_path(id, "/watch")).await
    }

    /// The lines written so far.
    pub async fn logs(&self, id: &str, which: &LogQuery) -> Result<Vec<LogLine>, ClientError> {
        self.all(&log_path(id, which, false)).await
    }

    /// The lines written so far and those to come, until the workload has ended.
    pub async fn follow_logs(
        &self,
        id: &str,
        which: &LogQuery,
    ) -> Result<Events<LogLine>, ClientError> {
        let events = Events::open(self, log_path(id, which, true)).await?;
        Ok(events.by_time(|line: &LogLine| line.at_ms))
    }

    /// Events of one workload, or of all that the caller may see.
    pub async fn events(
        &self,
        id: Option<&str>,
        which: &EventQuery,
    ) -> Result<Vec<Event>, ClientError> {
        let query = query(&[("after", which.after.map(|after| after.to_string()))]);
        let path = id.map_or("events".to_owned(), |id| workload_path(id, "/events"));
        self.all(&format!("{path}{query}")).await
    }

    /// Events as they happen.
    pub async fn follow_events(&self, which: &EventQuery) -> Result<Events<Event>, ClientError> {
        let after = which.after.map(|after| after.to_string());
        let query = query(&[("follow", Some("true".to_owned())), ("after", after)]);
        Events::open(self, format!("events{query}")).await
    }

    /// Why a workload waits; none where it does not.
    pub async fn why(&self, id: &str) -> Result<Option<Wait>, ClientError> {
        match self.get(&workload_path(id, "/why")).await {
            Ok(wait) => Ok(Some(wait)),
            Err(error) if error.problem().is_some_and(|p| p.code == Code::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a workload used over time.
    pub async fn metrics(&self, id: &str) -> Result<Metrics, ClientError> {
        self.get(&workload_path(id, "/metrics")).await
    }

    /// The files a workload left.
    pub async fn outputs(&self, id: &str) -> Result<Vec<OutputFile>, ClientError> {
        self.all(&workload_path(id, "/outputs")).await
    }

    /// Fetches one of them into a new file, and gives its size.
    pub async fn download(&self, id: &str, path: &str, to: &Path) -> Result<u64, ClientError> {
        let parts: Vec<_> = path.split('/').map(escape).collect();
        let path = workload_path(id, &format!("/outputs/{}", parts.join("/")));
        let mut body = self.send(&Call::new(Method::GET, &path)).await?.into_body();
        let local = |source| ClientError::Local { path: to.display().to_string(), source };
        let mut file = tokio::fs::File::create_new(to).await.map_err(local)?;
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| self.protocol(e))?;
            if let Some(data) = frame.data_ref() {
                bytes += data.len() as u64;
                file.write_all(data).await.map_err(local)?;
            }
        }
        file.flush().await.map_err(local)?;
        Ok(bytes)
    }

    /// Whether files were uploaded before.
    pub async fn has_bundle(&self, sha256: &str) -> Result<bool, ClientError> {
        let call = Call::new(Method::HEAD, &format!("bundles/{sha256}"));
        match self.send(&call).await {
            Ok(_) => Ok(true),
            Err(error) if error.problem().is_some_and(|p| p.code == Code::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads files, a tar archive of this digest.
    pub async fn put_bundle(
        &self,
        sha256: &str,
        archive: &Path,
        bytes: u64,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let call = Call {
            content: Content::File { path: archive.to_owned(), bytes },
            intent: Some(intent),
            ..Call::new(Method::PUT, &format!("bundles/{sha256}"))
        };
        let _: serde_json::Value = self.read(self.send(&call).await?).await?;
        Ok(())
    }
}

pub(crate) fn workload_path(id: &str, rest: &str) -> String {
    format!("workloads/{}{rest}", escape(id))
}

fn log_path(id: &str, which: &LogQuery, follow: bool) -> String {
    let query = query(&[
        ("follow", follow.then(|| "true".to_owned())),
        ("since_ms", which.since_ms.map(|since| since.to_string())),
        ("member", which.member.map(|member| member.to_string())),
    ]);
    workload_path(id, &format!("/logs{query}"))
}
