//! Certificates for tests, and who trusts them.

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// A new certificate in the folder's files.
pub fn certificate(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key }: CertifiedKey<KeyPair> =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// Settings whose one listener speaks TLS with the folder's certificate.
pub fn with_tls(settings: &str, folder: &Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let tls = format!("tls: {{ cert_file: '{}', key_file: '{}' }}", file("cert.pem"), file("key.pem"));
    settings.replacen("  - bind: 127.0.0.1:0\n", &format!("  - bind: 127.0.0.1:0\n    {tls}\n"), 1)
}

/// What a client needs to believe a server with this certificate.
pub fn trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// The name in the certificate.
pub fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
