//! Calls about people, tokens and the audit log.

use crate::request::{Client, escape};
use crate::{ClientError, Intent};
use hyper::Method;
use serde_json::Value;
use weft_api::wire::{
    AuditCheck, AuditEntry, CreateDataKey, CreateToken, CreateUser, DataKey, NewToken, Token, User,
    WhoAmI,
};

impl Client {
    /// Who the server takes the caller for.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.get("whoami").await
    }

    /// People and service accounts.
    pub async fn users(&self) -> Result<Vec<User>, ClientError> {
        self.all("users").await
    }

    /// Adds one.
    pub async fn create_user(
        &self,
        user: &CreateUser,
        intent: &Intent,
    ) -> Result<User, ClientError> {
        self.put(Method::POST, "users", user, intent).await
    }

    /// Shuts one out.
    pub async fn delete_user(&self, name: &str, intent: &Intent) -> Result<(), ClientError> {
        let _: Value = self.act(Method::DELETE, &format!("users/{}", escape(name)), intent).await?;
        Ok(())
    }

    /// Tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Vec<Token>, ClientError> {
        self.all("tokens").await
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        token: &CreateToken,
        intent: &Intent,
    ) -> Result<NewToken, ClientError> {
        self.put(Method::POST, "tokens", token, intent).await
    }

    /// Makes a key for S3 clients. Its secret is in the answer this once.
    pub async fn create_data_key(
        &self,
        key: &CreateDataKey,
        intent: &Intent,
    ) -> Result<DataKey, ClientError> {
        self.put(Method::POST, "data/keys", key, intent).await
    }

    /// Makes a token useless.
    pub async fn revoke_token(&self, id: &str, intent: &Intent) -> Result<(), ClientError> {
        let _: Value = self.act(Method::DELETE, &format!("tokens/{}", escape(id)), intent).await?;
        Ok(())
    }

    /// The audit log.
    pub async fn audit(&self) -> Result<Vec<AuditEntry>, ClientError> {
        self.all("audit").await
    }

    /// Whether the audit log's rows follow from one another.
    pub async fn verify_audit(&self) -> Result<AuditCheck, ClientError> {
        self.get("audit/verify").await
    }
}
