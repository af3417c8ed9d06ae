//! Pulls an image from a registry: manifest for this machine, configuration, layers.
//!
//! HTTPS, except for registries on this machine's loopback, and through the gate of `gate.rs`
//! only. Anonymous, or with the credentials
//! `docker login` left for the server's user. Retries are the caller's: a pull is a step of a
//! workload's start, which may be tried again as a whole.

use super::assemble::verify;
use super::gate::{Gate, host_of};
use super::references::hex_of;
use super::{
    DOCUMENT_BYTES_MAX, IMAGE_BYTES_MAX, ImageError, LAYERS_MAX, Layer, Registries, Source, layout,
};
use crate::room::Room;
use base64::Engine;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// A registry that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Time to reach a registry at all.
const CONNECT: Duration = Duration::from_secs(20);

/// Downloads everything the reference names into the folder `to`. `tell` hears bytes done and
/// bytes in all.
pub(super) async fn pull(
    reference: &Reference,
    to: &Path,
    registries: &Registries,
    room: &Room,
    tell: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Source, ImageError> {
    let auth = credentials(registries, reference.resolve_registry());
    // What was refused before is not this pull's reason.
    let _ = registries.refused(reference.resolve_registry());
    let way = Way { reference, registries, auth };
    let (client, auth) = way.open().await?;
    let (digest, manifest) = manifest(&client, reference, &auth).await.map_err(|e| way.told(e))?;
    let all = total(&manifest)?;
    room.check(all)?;
    let mut config = Vec::new();
    let sink = Bounded { to: &mut config, left: DOCUMENT_BYTES_MAX, tell: &mut |_| {} };
    let pulled = client.pull_blob(reference, &manifest.config, sink).await;
    pulled.map_err(|e| way.failed(&e))?;
    verify("the configuration", &config, &manifest.config.digest)?;
    let mut layers = Vec::new();
    let mut done = 0;
    for layer in &manifest.layers {
        let path = to.join(hex_of(&layer.digest)?);
        let mut file = tokio::fs::File::create(&path).await?;
        let mut count = |bytes| {
            done += bytes;
            tell(done, all);
        };
        let left = u64::try_from(layer.size).unwrap_or(0);
        room.check(left)?;
        let sink = Bounded { to: &mut file, left, tell: &mut count };
        // Anew for each: a token made with credentials lives for minutes, a layer may take more.
        let (client, _) = way.open().await?;
        client.pull_blob(reference, layer, sink).await.map_err(|e| way.failed(&e))?;
        layers.push(Layer { path, digest: Some(layer.digest.clone()) });
    }
    Ok(Source { digest, config, layers })
}

/// How a reference's registry is reached.
struct Way<'a> {
    reference: &'a Reference,
    registries: &'a Registries,
    auth: RegistryAuth,
}

impl Way<'_> {
    /// A client, and what it shows. Credentials go through the narrow gate only: for a token,
    /// which then serves through the open one, or all the way where the registry makes none.
    async fn open(&self) -> Result<(Client, RegistryAuth), ImageError> {
        let open = self.client(&self.registries.open()?);
        if self.auth == RegistryAuth::Anonymous {
            return Ok((open, RegistryAuth::Anonymous));
        }
        let narrow = self.client(&self.registries.narrow(self.reference.resolve_registry())?);
        let token = narrow.auth(self.reference, &self.auth, RegistryOperation::Pull).await;
        let (client, auth) = match token.map_err(|e| self.failed(&e))? {
            Some(token) => (open, RegistryAuth::Bearer(token)),
            None => (narrow, self.auth.clone()),
        };
        let shown = client.auth(self.reference, &auth, RegistryOperation::Pull).await;
        shown.map_err(|e| self.failed(&e))?;
        Ok((client, auth))
    }

    fn client(&self, gate: &Gate) -> Client {
        // The workspace builds rustls with ring and no default; a second install changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = self.reference.resolve_registry().to_owned();
        let protocol = match is_loopback(&registry) {
            true => ClientProtocol::HttpsExcept(vec![registry]),
            false => ClientProtocol::Https,
        };
        Client::new(ClientConfig {
            protocol,
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT),
            http_proxy: Some(gate.url()),
            https_proxy: Some(gate.url()),
            ..ClientConfig::default()
        })
    }

    fn failed(&self, error: &OciDistributionError) -> ImageError {
        let (reference, reason) = (self.reference.whole(), error.to_string());
        self.told(ImageError::Pull { reference, reason })
    }

    /// What the gate refused is the reason, where it refused something.
    fn told(&self, error: ImageError) -> ImageError {
        let registry = self.reference.resolve_registry();
        let refused = self.registries.refused(registry);
        match (error, refused) {
            (ImageError::Pull { reference, .. }, Some((status, why))) => {
                let why = why.lines().next().unwrap_or_default().trim_start_matches("weft: ");
                let mut reason = why.split(", which").next().unwrap_or(why).to_owned();
                if status.starts_with("403") {
                    reason += "\nhint: the operator can allow it with `weft up --allow-registry`";
                }
                ImageError::Pull { reference, reason }
            }
            (error, _) => error,
        }
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The manifest for this machine with its digest, through an index where there is one.
async fn manifest(
    client: &Client,
    reference: &Reference,
    auth: &RegistryAuth,
) -> Result<(String, OciImageManifest), ImageError> {
    let (digest, document) = document(client, reference, auth).await?;
    let index = match document {
        OciManifest::Image(manifest) => return Ok((digest, manifest)),
        OciManifest::ImageIndex(index) => index,
    };
    let entry = index.manifests.iter().find(|e| e.platform.is_some() && layout::fits(e));
    let none = || ImageError::Format(format!("{reference} is not there for this machine"));
    let inner = reference.clone_with_digest(entry.ok_or_else(none)?.digest.clone());
    match self::document(client, &inner, auth).await? {
        (digest, OciManifest::Image(manifest)) => Ok((digest, manifest)),
        (_, OciManifest::ImageIndex(_)) => {
            Err(ImageError::Format(format!("{reference} is an index of indexes")))
        }
    }
}

async fn document(
    client: &Client,
    reference: &Reference,
    auth: &RegistryAuth,
) -> Result<(String, OciManifest), ImageError> {
    let accepted = [
        oci_client::manifest::OCI_IMAGE_MEDIA_TYPE,
        oci_client::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE,
        oci_client::manifest::IMAGE_MANIFEST_MEDIA_TYPE,
        oci_client::manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    ];
    let failed = |e: oci_client::errors::OciDistributionError| ImageError::Pull {
        reference: reference.whole(),
        reason: e.to_string(),
    };
    let pulled = client.pull_manifest_raw(reference, auth, &accepted).await.map_err(failed)?;
    let (bytes, digest) = pulled;
    verify("the manifest", &bytes, reference.digest().unwrap_or(&digest))?;
    let document = serde_json::from_slice(&bytes)
        .map_err(|e| ImageError::Format(format!("the manifest of {reference}: {e}")))?;
    Ok((digest, document))
}

fn total(manifest: &OciImageManifest) -> Result<u64, ImageError> {
    if manifest.layers.len() > LAYERS_MAX {
        return Err(ImageError::TooMuch { limit: LAYERS_MAX as u64, what: "layers" });
    }
    let size = |layer: &OciDescriptor| u64::try_from(layer.size).unwrap_or(u64::MAX);
    let total = manifest.layers.iter().map(size).fold(0, u64::saturating_add);
    match total > IMAGE_BYTES_MAX {
        true => Err(ImageError::TooMuch { limit: IMAGE_BYTES_MAX, what: "bytes" }),
        false => Ok(total),
    }
}

/// Docker's configuration file, as far as plain credentials go.
#[derive(Deserialize, Default)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: String,
}

fn credentials(registries: &Registries, registry: &str) -> RegistryAuth {
    let text = registries.login().and_then(|folder| fs::read(folder.join("config.json")).ok());
    text.and_then(|text| basic(&text, registry)).unwrap_or(RegistryAuth::Anonymous)
}

fn basic(config: &[u8], registry: &str) -> Option<RegistryAuth> {
    let config: DockerConfig = serde_json::from_slice(config).ok()?;
    // Docker's own registry is filed under an address from its early days.
    let names: [&str; 2] = match registry {
        "index.docker.io" | "docker.io" => ["https://index.docker.io/v1/", "docker.io"],
        other => [other, other],
    };
    let auth = names.iter().find_map(|name| config.auths.get(*name))?;
    let plain = base64::engine::general_purpose::STANDARD.decode(&auth.auth).ok()?;
    let (user, password) = str::from_utf8(&plain).ok()?.split_once(':')?;
    Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

/// Takes as many bytes as were promised and not one more, counting them.
struct Bounded<'a, W> {
    to: &'a mut W,
    left: u64,
    tell: &'a mut (dyn FnMut(u64) + Send),
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Bounded<'_, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.len() as u64 > self.left {
            return Poll::Ready(Err(io::Error::other("it is larger than its manifest says")));
        }
        let written = std::task::ready!(Pin::new(&mut *self.to).poll_write(cx, bytes))?;
        self.left -= written as u64;
        (self.tell)(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.to).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.to).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_plain() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "127.9.9.9"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example:5000", "127.0.0.1.example", "10.0.0.1:5000", "registry", ""] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[test]
    fn credentials_of_docker_login() {
        let config = br#"{"auths":{"r.invalid:5000":{"auth":"dXNlcjpwYTpzcw=="},"x":{}}}"#;
        let expected = RegistryAuth::Basic("user".into(), "pa:ss".into());
        assert_eq!(basic(config, "r.invalid:5000"), Some(expected));
        assert_eq!(basic(config, "other"), None);
        assert_eq!(basic(config, "x"), None);
    }
}
