//! What a listener proves itself with: a certificate that can be changed while connections are open.

use crate::config;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// A file that a setting names is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {reason}", file.display())]
pub struct FileError {
    /// The setting.
    pub key: String,
    /// The file.
    pub file: std::path::PathBuf,
    /// What is wrong, and the remedy; nothing of what the file holds.
    pub reason: String,
}

/// A certificate with its key, as the files hold it now.
#[derive(Debug)]
pub struct Certificate {
    settings: config::Tls,
    /// The section that names the files.
    key: String,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files that the section `key` names.
    pub fn load(settings: &config::Tls, key: String) -> Result<Arc<Certificate>, FileError> {
        let provider = Arc::new(ring::default_provider());
        let current = RwLock::new(read(settings, &key, &provider)?);
        Ok(Arc::new(Certificate { settings: settings.clone(), key, provider, current }))
    }

    /// Reads the files again. New connections get what they hold now; on an error what was before.
    pub fn reload(&self) -> Result<(), FileError> {
        let new = read(&self.settings, &self.key, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// What the listener speaks: TLS 1.2 and 1.3, no client certificates.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let versions = ServerConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions();
        let mut config = versions?.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(settings: &config::Tls, section: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, FileError> {
    let wrong = |name: &str, file: &Path, reason: String| FileError {
        key: format!("{section}.{name}"),
        file: file.to_owned(),
        reason,
    };
    let certificate = |reason: String| wrong("cert_file", &settings.cert_file, reason);
    let key = |reason: String| wrong("key_file", &settings.key_file, reason);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&settings.cert_file)
        .map_err(|error| certificate(format!("{error}; give a certificate in PEM")))?
        .collect();
    let chain = chain.map_err(|error| certificate(format!("{error}; give a certificate in PEM")))?;
    if chain.is_empty() {
        return Err(certificate("holds no certificate; give one in PEM, `-----BEGIN CERTIFICATE-----`".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(&settings.key_file)
        .map_err(|error| key(format!("{error}; give a private key in PEM, without a password")))?;
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        key(format!("{error}; give the key of the certificate in {}", settings.cert_file.display()))
    })?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_read_again_and_errors_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let pair = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let (first, second) = (pair(), pair());
        let settings = config::Tls { cert_file: write("cert.pem", &first.0), key_file: write("key.pem", &first.1) };
        let certificate = Certificate::load(&settings, "listeners[0].tls".to_owned()).unwrap();
        certificate.server_config().unwrap();
        let served = || certificate.current.read().unwrap().cert[0].clone();
        let before = served();

        // Half of a change: the new certificate without its key.
        write("cert.pem", &second.0);
        let error = certificate.reload().unwrap_err().to_string();
        assert!(error.starts_with("listeners[0].tls.key_file: ") && error.contains("give the key of"), "{error}");
        assert_eq!(served(), before);
        write("key.pem", &second.1);
        certificate.reload().unwrap();
        assert_ne!(served(), before);

        write("cert.pem", "no certificate");
        let error = certificate.reload().unwrap_err().to_string();
        assert!(error.starts_with("listeners[0].tls.cert_file: ") && error.contains("holds no"), "{error}");
        write("cert.pem", &second.0);
        write("key.pem", "SECRET");
        let error = certificate.reload().unwrap_err().to_string();
        assert!(error.contains("give a private key") && !error.contains("SECRET"), "{error}");
        fs::remove_file(&settings.cert_file).unwrap();
        assert!(certificate.reload().unwrap_err().to_string().contains("No such file"));
    }
}
