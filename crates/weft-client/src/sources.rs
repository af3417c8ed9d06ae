//! Calls about sources, and imports from them.

use crate::request::{Client, escape};
use crate::{ClientError, Intent};
use hyper::Method;
use serde_json::Value;
use weft_api::wire::{Import, PutSource, Source, StartImport};

impl Client {
    /// The sources that the caller may see.
    pub async fn sources(&self) -> Result<Vec<Source>, ClientError> {
        self.all("sources").await
    }

    /// Declares one, or changes it.
    pub async fn put_source(
        &self,
        name: &str,
        put: &PutSource,
        intent: &Intent,
    ) -> Result<Source, ClientError> {
        self.put(Method::PUT, &format!("sources/{}", escape(name)), put, intent).await
    }

    /// Removes one.
    pub async fn remove_source(&self, name: &str, intent: &Intent) -> Result<(), ClientError> {
        let path = format!("sources/{}", escape(name));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }

    /// Starts an import.
    pub async fn start_import(
        &self,
        dataset: &str,
        start: &StartImport,
        intent: &Intent,
    ) -> Result<Import, ClientError> {
        self.put(Method::POST, &imports(dataset, ""), start, intent).await
    }

    /// The last imports of a dataset.
    pub async fn imports(&self, dataset: &str) -> Result<Vec<Import>, ClientError> {
        self.all(&imports(dataset, "")).await
    }

    /// One of them.
    pub async fn import(&self, dataset: &str, id: u64) -> Result<Import, ClientError> {
        self.get(&imports(dataset, &format!("/{id}"))).await
    }

    /// Ends one.
    pub async fn cancel_import(
        &self,
        dataset: &str,
        id: u64,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let path = imports(dataset, &format!("/{id}"));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }
}

fn imports(dataset: &str, rest: &str) -> String {
    format!("datasets/{}/imports{rest}", escape(dataset))
}
