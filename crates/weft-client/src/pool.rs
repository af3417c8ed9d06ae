//! Calls about the pool: accelerators, machines, shares, images, cost, the server itself.

use crate::request::{Call, Client, Content, escape, query};
use crate::{ClientError, Intent};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use weft_api::wire::{
    CostReport, Device, DeviceUpdate, Health, Image, LedgerCheck, Node, NodeUpdate, Offers, Queue,
    ServerInfo,
};

impl Client {
    /// What this server is.
    pub async fn info(&self) -> Result<ServerInfo, ClientError> {
        self.get("info").await
    }

    /// The accelerators.
    pub async fn devices(&self) -> Result<Vec<Device>, ClientError> {
        self.all("devices").await
    }

    /// What a new workload of a queue could have now; without a name, of the caller's team's.
    pub async fn offers(&self, queue: Option<&str>) -> Result<Offers, ClientError> {
        let query = query(&[("queue", queue.map(str::to_owned))]);
        self.get(&format!("offers{query}")).await
    }

    /// The machines.
    pub async fn nodes(&self) -> Result<Vec<Node>, ClientError> {
        self.all("nodes").await
    }

    /// Keeps new work off a machine, or lets it come.
    pub async fn drain(
        &self,
        node: &str,
        drained: bool,
        intent: &Intent,
    ) -> Result<Node, ClientError> {
        let path = format!("nodes/{}", escape(node));
        self.put(Method::PATCH, &path, &NodeUpdate { drained }, intent).await
    }

    /// Takes an accelerator, `<machine>/<index>`, out of the pool, or gives it back.
    pub async fn device(
        &self,
        id: &str,
        update: &DeviceUpdate,
        intent: &Intent,
    ) -> Result<Health, ClientError> {
        let (node, index) = id.split_once('/').unwrap_or((id, ""));
        let path = format!("devices/{}/{}", escape(node), escape(index));
        self.put(Method::PATCH, &path, update, intent).await
    }

    /// What teams held and used.
    pub async fn cost(
        &self,
        queue: Option<&str>,
        phase: Option<&str>,
        since_ms: Option<u64>,
    ) -> Result<CostReport, ClientError> {
        let query = query(&[
            ("queue", queue.map(str::to_owned)),
            ("phase", phase.map(str::to_owned)),
            ("since_ms", since_ms.map(|since| since.to_string())),
        ]);
        self.get(&format!("cost{query}")).await
    }

    /// Whether the ledger's sums agree.
    pub async fn check_ledger(&self) -> Result<LedgerCheck, ClientError> {
        self.get("ledger/check").await
    }

    /// The teams' shares.
    pub async fn queues(&self) -> Result<Vec<Queue>, ClientError> {
        self.all("queues").await
    }

    /// Makes a share or changes it.
    pub async fn put_queue(&self, queue: &Queue, intent: &Intent) -> Result<Queue, ClientError> {
        self.put(Method::PUT, &queue_path(&queue.name), queue, intent).await
    }

    /// Removes a share nobody uses.
    pub async fn delete_queue(&self, name: &str, intent: &Intent) -> Result<(), ClientError> {
        let _: Value = self.act(Method::DELETE, &queue_path(name), intent).await?;
        Ok(())
    }

    /// The images in the store.
    pub async fn images(&self) -> Result<Vec<Image>, ClientError> {
        self.all("images").await
    }

    /// Imports an image from an archive.
    pub async fn import_image(
        &self,
        reference: &str,
        archive: &Path,
        bytes: u64,
        intent: &Intent,
    ) -> Result<Image, ClientError> {
        let query = query(&[("reference", Some(reference.to_owned()))]);
        let call = Call {
            content: Content::File { path: archive.to_owned(), bytes },
            intent: Some(intent),
            ..Call::new(Method::POST, &format!("images{query}"))
        };
        self.read(self.send(&call).await?).await
    }

    /// Removes an image that nothing uses, by its digest.
    pub async fn remove_image(&self, digest: &str, intent: &Intent) -> Result<(), ClientError> {
        let path = format!("images/{}", escape(digest));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }

    /// Copies the state into a file on the server's machine, while it runs.
    pub async fn backup(&self, path: &Path, intent: &Intent) -> Result<Value, ClientError> {
        self.put(Method::POST, "admin/backup", &json!({ "path": path }), intent).await
    }

    /// Ends the server, with its workloads or without.
    pub async fn shutdown(&self, workloads: bool, intent: &Intent) -> Result<(), ClientError> {
        let body = json!({ "workloads": workloads });
        let _: Value = self.put(Method::POST, "admin/shutdown", &body, intent).await?;
        Ok(())
    }
}

/// The `/` of a queue's path separates its names, in the address too.
fn queue_path(name: &str) -> String {
    let names: Vec<_> = name.split('/').map(escape).collect();
    format!("queues/{}", names.join("/"))
}
