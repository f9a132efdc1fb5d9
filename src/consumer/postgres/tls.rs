//! TLS to the database: tokio-postgres's two traits over the tokio-rustls that is here anyway.
//!
//! Without channel binding: it needs the signature algorithm out of the server's certificate, so an X.509 parser, and
//! `verify-full` knows whom it talks to without it.

use crate::load::{Trust, client_config, client_config_for_any_name};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client};

/// `sslmode`, as PostgreSQL's own clients mean it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Never TLS.
    Disable,
    /// TLS where the server speaks it, with any certificate.
    #[default]
    Prefer,
    /// TLS, with any certificate.
    Require,
    /// TLS, with a certificate, for whatever name, that somebody trusted vouches for.
    VerifyCa,
    /// TLS, with a certificate for this host that somebody trusted vouches for.
    VerifyFull,
}

impl Mode {
    /// The mode of this name.
    pub fn named(name: &str) -> Option<Mode> {
        Some(match name {
            "disable" => Mode::Disable,
            // `allow` would rather do without, and takes it all the same where the server wants it.
            "prefer" | "allow" => Mode::Prefer,
            "require" => Mode::Require,
            "verify-ca" => Mode::VerifyCa,
            "verify-full" => Mode::VerifyFull,
            _ => return None,
        })
    }

    /// Whether the certificate is looked at.
    pub fn verifies(self) -> bool {
        matches!(self, Mode::VerifyCa | Mode::VerifyFull)
    }

    /// What the connector speaks. `key` is that of the file with the trusted certificates.
    pub fn client_config(self, ca_file: Option<&Path>, key: &str) -> Result<Arc<ClientConfig>, String> {
        let trust = match ca_file {
            _ if !self.verifies() => Trust::Everybody,
            Some(file) => Trust::File(file.to_owned()),
            None => Trust::System,
        };
        if self == Mode::VerifyCa { client_config_for_any_name(&trust, key) } else { client_config(&trust, key) }
    }

    /// The part of it that the library sees to; the certificate is the connector's part.
    pub fn for_library(self) -> SslMode {
        match self {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }
}

/// Makes connections speak TLS.
#[derive(Clone)]
pub struct Tls(pub Arc<ClientConfig>);

/// The same for one host.
pub struct Connect {
    config: Arc<ClientConfig>,
    /// `None` for a socket of the machine, on which nobody speaks TLS.
    host: Option<ServerName<'static>>,
}

/// A connection that does.
pub struct Stream<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Connect, io::Error> {
        let name = (!host.is_empty()).then(|| ServerName::try_from(host.to_owned()));
        let host = name.transpose().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Connect { config: self.0.clone(), host })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connect {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let host = self.host.ok_or(io::ErrorKind::InvalidInput)?;
            TlsConnector::from(self.config).connect(host, stream).await.map(Stream)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
